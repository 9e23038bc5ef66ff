"""Where a request that somebody else asked for may go: to public addresses, and to others only where they are allowed.

A name is resolved once, and the connection goes to the address that was looked at: a resolver that answers otherwise the
second time changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, SettingsError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Networks whose addresses stand for IPv4 addresses, in their last 32 bits.
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
#: Sites' own addresses of old, and another way to write IPv4 ones; Python takes both for global.
_OLD = (ipaddress.IPv6Network("fec0::/10"), ipaddress.IPv6Network("::ffff:0:0:0/96"))
#: Set aside for protocols; what Python thinks of them differs from version to version.
_SET_ASIDE = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv6Network("64:ff9b:1::/48"))

#: Seconds that a socket is given at least: zero would mean not to wait at all.
LEAST = 0.01


class Allowed:
    """The networks and hosts that may be reached although they are not public.

    >>> Allowed("10.0.0.0/8, hooks.internal").is_fine("hooks.internal", ipaddress.ip_address("127.0.0.1"))
    True
    """

    def __init__(self, text: str = "") -> None:
        """Read networks, addresses and host names with commas between.

        Raises:
            SettingsError: a part is none of these.
        """
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            try:
                self._networks.append(ipaddress.ip_network(part, strict=False))
            except ValueError as error:
                if not all(c.isalnum() or c in ".-" for c in part) or part.replace(".", "").isdigit():
                    msg = f"{part!r} is no network, address or host name. Expected as '10.0.0.0/8, hooks.internal'."
                    raise SettingsError(msg) from error
                self._hosts.add(part.lower().rstrip("."))

    def is_fine(self, host: str, address: Address) -> bool:
        """Return whether an address may be reached under a name."""
        if host.lower().rstrip(".") in self._hosts or is_public(address):
            return True
        return any(meant in network for network in self._networks for meant in _meant(address))


def is_public(address: Address) -> bool:
    """Return whether an address is one of the open internet, in whatever form it is written.

    >>> [is_public(ipaddress.ip_address(text)) for text in ("93.184.215.14", "169.254.169.254", "::ffff:10.0.0.1")]
    [True, False, False]
    """
    return all(
        meant.is_global
        and not meant.is_private
        and not meant.is_multicast
        and not any(meant in network for network in (*_SET_ASIDE, *_OLD))
        for meant in _meant(address)
    )


def resolve(host: str, port: int, allowed: Allowed | None, *, timeout: float = 5.0) -> list[str]:
    """Return the addresses of a host, all of which may be reached; without `allowed` any may.

    Raises:
        InvalidInput: one of them may not, there is none, or nobody says within `timeout` seconds. No address is named in
            what is said: whoever asks may be a stranger, who is not told what a name means inside.
    """
    addresses = list(dict.fromkeys(text.partition("%")[0] for text in _looked_up(host, port, timeout)))
    if allowed is not None:
        _check(host, addresses, allowed)
    return addresses


def connected(targets: Sequence[str], port: int, end: float) -> socket.socket:
    """Connect to the first of a host's addresses that answers, until a monotonic moment for all of them.

    Each may take its share of the time that is left: one that says nothing keeps nobody from the next.

    Raises:
        OSError: none of them answers.
    """
    for place, target in enumerate(targets[:-1]):
        try:
            return _socket(target, port, (end - monotonic()) / (len(targets) - place))
        except OSError:
            if monotonic() >= end:
                raise
    return _socket(targets[-1], port, end - monotonic())


def _socket(target: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((target, port), timeout=max(timeout, LEAST))


def _looked_up(host: str, port: int, timeout: float) -> list[str]:
    """Ask the system's resolver, which has no limit of its own, in a thread that ends whenever it does."""
    found: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            found.put(error)
        else:
            found.put([str(entry[4][0]) for entry in entries])

    threading.Thread(target=ask, name="treadle-resolver", daemon=True).start()
    try:
        said = found.get(timeout=max(timeout, 0.0))
    except Empty:
        msg = f"The host {host!r} cannot be found: no resolver answered within {timeout:.3g} s."
        raise InvalidInput(msg) from None
    if isinstance(said, Exception):
        msg = f"The host {host!r} cannot be found ({said})."
        raise InvalidInput(msg) from said
    return said


def _check(host: str, addresses: Sequence[str], allowed: Allowed) -> None:
    if all(allowed.is_fine(host, ipaddress.ip_address(text)) for text in addresses):
        return
    msg = (
        f"The host {host!r} has an address that is not public. Name another host, or let the operator allow it (setting "
        "jobs.allow)."
    )
    raise InvalidInput(msg)


def _meant(address: Address) -> list[Address]:
    """Return an address, and those that it stands for."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        found += [one for one in inner if one is not None]
        found += [
            ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
            for network in _TRANSLATED
            if address in network and int(address) > 1
        ]
    return found
