"""Which web pages may ask: a browser that shows a stranger's page is kept from asking a server that only trusts its own machine.

A page elsewhere can send requests to `http://127.0.0.1:8080` (its browser adds `Origin`), and a name of its own that it lets
point to 127.0.0.1 makes them look as if they were from the same place (then `Host` is that name). Programs send no `Origin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from treadle.core.errors import Forbidden, Misdirected, SettingsError
from treadle.serving.listening import is_loopback

_DEFAULT_PORTS = (":80", ":443")
_REMEMBERED = 1024


class Origins:
    """The names of one server.

    >>> Origins("models.team").check({"host": "models.team", "origin": "https://models.team"}, guarded=False)
    """

    def __init__(self, hosts: str = "") -> None:
        """Take the names by which it is reached besides those of loopback, with commas between.

        Raises:
            SettingsError: one of them is no host's name or address, and would never be asked for.
        """
        self._names = frozenset(_wanted(name.strip()) for name in hosts.split(",") if name.strip())
        #: Values of `Host` that were looked at and are fine.
        self._fine: set[str] = set()

    def check(self, headers: Mapping[str, str], *, guarded: bool) -> None:
        """Make sure that no stranger's page asks; `guarded`: a token is asked for, which strangers' pages do not have.

        Raises:
            Misdirected: the request is for a host that this is not.
            Forbidden: it comes from a page of another place.
        """
        host = headers.get("host", "")
        if not guarded and host and host not in self._fine:
            self._check_host(host)
        origin = headers.get("origin", "")
        if origin:
            self._check_origin(origin, host)

    @staticmethod
    def below(scope: Any) -> str:  # noqa: ARG004 - as of `Mounted`
        """Return the path that stands before all others: none."""
        return ""

    def _check_host(self, host: str) -> None:
        name = _name_of(f"//{host}")
        if not (is_loopback(name) or name.endswith(".localhost") or name in self._names):
            msg = (
                f"The request is for {host[:200]!r}. Without a token this server answers to the names of loopback only, as localhost: "
                "set serving.hosts to the names by which it is reached, or a token."
            )
            raise Misdirected(msg, field="host")
        if len(self._fine) >= _REMEMBERED:
            self._fine.clear()
        self._fine.add(host)

    def _check_origin(self, origin: str, host: str) -> None:
        here = host.lower()
        there = origin.lower().partition("://")[2]
        if there and _plain(there) == _plain(here):
            return
        if _name_of(origin) in self._names:
            return
        msg = (
            f"The request comes from a page of {origin[:200]!r}, which is not this server's. Ask from a program or from a page of "
            "this server, or set serving.hosts to the names by which it is reached."
        )
        raise Forbidden(msg)


class Mounted:
    """The place of a server inside another one, which says for itself which pages may ask."""

    @staticmethod
    def check(headers: Mapping[str, str], *, guarded: bool) -> None:
        """Let everybody ask whom the host lets."""

    @staticmethod
    def below(scope: Any) -> str:
        """Return the path below which a request finds it."""
        return scope.root  # type: ignore[no-any-return]


def _wanted(name: str) -> str:
    """Return a name of the setting as browsers send it."""
    with suppress(UnicodeError):
        found = name.lower().removeprefix("[").removesuffix("]").removesuffix(".").encode("idna").decode()
        if found and _name_of(f"//[{found}]" if ":" in found else f"//{found}") == found:
            return found
    msg = f"Setting serving.hosts has {name!r}. Expected names or addresses without scheme and port, as 'models.team, 10.0.0.7'."
    raise SettingsError(msg)


def _name_of(address: str) -> str:
    """Return the host that an address names; empty: none that can be read."""
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _plain(place: str) -> str:
    """Return a host and port without the port that need not be said."""
    for port in _DEFAULT_PORTS:
        place = place.removesuffix(port)
    return place
