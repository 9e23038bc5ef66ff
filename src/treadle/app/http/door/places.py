"""Which names this server answers to, and whose pages may ask: every request, whatever its path and method."""

from __future__ import annotations

from treadle.app.http.door.asgi import App, Receive, Scope, Send, headers_of, refuse
from treadle.core.errors import Forbidden, InvalidInput, Misdirected, TreadleError
from treadle.serving.origins import Origins

_READS = ("GET", "HEAD")
#: What a request may be that another place's page causes: somebody follows a link.
_FOLLOWED = ("navigate",)


class Places:
    """Refuses requests for other hosts, and those that pages of other places make."""

    def __init__(self, app: App, *, hosts: str) -> None:
        """Take the server's names besides those of loopback.

        Raises:
            SettingsError: one of them is no host's name or address.
        """
        self._app, self._origins = app, Origins(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            _check(self._origins, scope)
        except TreadleError as error:
            await refuse(error, send, close=True)
            return
        await self._app(scope, receive, send)


def _check(origins: Origins, scope: Scope) -> None:
    names = [name.lower() for name, _ in scope["headers"]]
    headers = headers_of(scope)
    if names.count(b"host") != 1 or not headers["host"]:
        msg = "The request names no host, or several. Send one header 'Host'."
        raise Misdirected(msg, field="host")
    origins.check(headers, guarded=False)
    site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "")
    followed = scope["method"] in _READS and mode in _FOLLOWED
    if site not in {"none", "same-origin"} and not followed:
        msg = "The request comes from a page of another place. Ask from a program or from a page of this server."
        raise Forbidden(msg)
    if "\x00" in scope["path"] or len(scope["path"]) > 2_000 or len(scope.get("query_string", b"")) > 16_000:
        msg = "The address is too long, or has a character that no address has."
        raise InvalidInput(msg, field="path")
