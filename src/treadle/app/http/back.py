"""Where a browser is led back to: addresses of this server only."""

from __future__ import annotations

from urllib.parse import urlsplit


def local(address: str, default: str = "/") -> str:
    """Return an address if it is one of this server, as path and query; else the default.

    >>> local("/models/delay?x=1"), local("//elsewhere.org/"), local("https://elsewhere.org"), local("/\\\\elsewhere.org")
    ('/models/delay?x=1', '/', '/', '/')
    """
    printable = address.isascii() and address.isprintable() and "\\" not in address and " " not in address
    if not printable or not address.startswith("/") or address.startswith("//") or len(address) > 2_000:
        return default
    try:
        parts = urlsplit(address)
    except ValueError:
        return default
    return default if parts.scheme or parts.netloc else address
