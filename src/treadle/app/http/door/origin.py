"""Where a request comes from: its address, or what a trusted proxy says of it."""

from __future__ import annotations

import ipaddress

from treadle.app.http.door.asgi import ADDRESS, App, Receive, Scope, Send, headers_of
from treadle.core.errors import SettingsError


class Proxies:
    """The proxies that are trusted."""

    def __init__(self, text: str = "") -> None:
        """Read addresses and networks with commas between.

        Raises:
            SettingsError: one of them is none.
        """
        try:
            parts = filter(None, (part.strip() for part in text.split(",")))
            self._networks = [ipaddress.ip_network(part, strict=False) for part in parts]
        except ValueError as error:
            msg = f"Setting ui.proxies = {text!r}: {error}. Expected addresses or networks, as '10.0.0.7, 10.1.0.0/16'."
            raise SettingsError(msg) from error

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._networks)

    def trusts(self, address: str) -> bool:
        """Say whether an address is one of them."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        meant = getattr(found, "ipv4_mapped", None) or found
        return any(meant in network for network in self._networks)


class Origin:
    """Notes the address of each request, and whether it came over TLS."""

    def __init__(self, app: App, *, proxies: Proxies) -> None:
        self._app, self._proxies = app, proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        address = (scope.get("client") or ("", 0))[0]
        scope["treadle.proxied"] = self._proxies.trusts(address)
        if scope["treadle.proxied"]:
            headers = headers_of(scope)
            # The last one that is not a proxy of ours: what stands before it anybody may have written.
            for part in reversed(headers.get("x-forwarded-for", "").split(",")):
                if part.strip():
                    address = part.strip()[:100]
                    if not self._proxies.trusts(address):
                        break
            if headers.get("x-forwarded-proto", "") == "https":
                scope["scheme"] = "https"
        scope[ADDRESS] = address
        await self._app(scope, receive, send)
