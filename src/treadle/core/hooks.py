"""Web hooks: a signed JSON message that is posted to an address, the same for alerts and for jobs.

The signature covers `<t>.<body>`, where `t` is the Unix time in the header:

    Treadle-Signature: t=1385856000,v1=5257a869…
    Treadle-Delivery: alert_01k….raised
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import urllib.parse
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from treadle.core.addresses import LEAST, Allowed, connected, resolve
from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput

SIGNATURE, DELIVERY = "Treadle-Signature", "Treadle-Delivery"
EVENTS = "application/cloudevents+json; charset=utf-8"
#: Answers that may be another one a little later.
_PASSING = {408, 425, 429}
_READ = 4096


class Failure(NamedTuple):
    """Why a message was not taken."""

    said: str
    #: Whether the same message may be taken a little later.
    may_pass: bool
    #: What was answered; 0: nothing was.
    status: int = 0


def event(kind: str, *, delivery: str, source: str, subject: str, at: datetime, data: Any) -> dict[str, Any]:
    """Return a CloudEvents 1.0 event in structured JSON."""
    return {
        "specversion": "1.0",
        "id": delivery,
        "source": urllib.parse.quote(source) or "treadle",
        "type": kind,
        "subject": subject,
        "time": at.isoformat(),
        "datacontenttype": "application/json",
        "data": data,
    }


def post(
    url: str,
    body: bytes,
    *,
    delivery: str,
    secret: str,
    at: datetime,
    timeout: float = 5.0,
    allowed: Allowed | None = None,
    content_type: str = EVENTS,
    bearer: str = "",
) -> Failure | None:
    """Post a message once; None: it was taken, with any 2xx answer. Redirects are not followed.

    `bearer` is sent as `Authorization: Bearer …`. With `allowed` only public addresses are reached, and those that it names; without it any. All of it takes at most
    about `timeout` seconds, however slowly its host is found or the answer trickles in. What is said of a failure names no address.
    """
    headers = {"Content-Type": content_type, DELIVERY: delivery}
    if secret:
        headers[SIGNATURE] = sign(body, secret=secret, at=at)
    return _ask("POST", url, body=body, headers=headers, bearer=bearer, timeout=timeout, allowed=allowed)


def look(url: str, *, timeout: float = 5.0, bearer: str = "") -> Failure | None:
    """Ask for what stands at an address, as `post` asks; what is answered is thrown away."""
    return _ask("GET", url, body=None, headers={}, bearer=bearer, timeout=timeout, allowed=None)


def _ask(
    verb: str,
    url: str,
    *,
    body: bytes | None,
    headers: dict[str, str],
    bearer: str,
    timeout: float,
    allowed: Allowed | None,
) -> Failure | None:
    parts = urllib.parse.urlsplit(url)
    headers = {**headers, "User-Agent": "treadle"}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    connection, watch, end = None, None, monotonic() + timeout
    try:
        connection = _connection(parts, end, allowed)
        watch = _ended_after(connection, end - monotonic())
        if isinstance(connection.sock, ssl.SSLSocket):
            connection.sock.do_handshake()
        connection.request(verb, path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read(_READ)
    except (InvalidInput, OSError, http.client.HTTPException) as error:
        return _failed(error, timeout, is_over=monotonic() >= end)
    finally:
        if watch is not None:
            watch.cancel()
        if connection is not None:
            connection.close()
    if 200 <= answer.status < 300:
        return None
    if 300 <= answer.status < 400:
        told = "and redirects are not followed: configure the final address"
        return Failure(f"it answered {answer.status}, {told}", may_pass=False, status=answer.status)
    may_pass = answer.status >= 500 or answer.status in _PASSING
    return Failure(f"it answered {answer.status}", may_pass=may_pass, status=answer.status)


def _failed(error: Exception, timeout: float, *, is_over: bool) -> Failure:
    """Return why nothing was answered; what the system says of it may hold addresses, and is not passed on."""
    if isinstance(error, InvalidInput):
        said = str(error)
    elif isinstance(error, TimeoutError):
        said = f"it did not answer within {timeout:g} s"
    elif isinstance(error, ssl.SSLError):
        said = f"it cannot be reached (TLS: {error.reason or type(error).__name__})"
    elif isinstance(error, ConnectionRefusedError):
        said = "it cannot be reached (connection refused)"
    elif is_over:
        said = f"it did not answer within {timeout:g} s"
    else:
        said = f"it broke off ({type(error).__name__})"
    return Failure(said, may_pass=True)


def sign(body: bytes, *, secret: str, at: datetime) -> str:
    """Return the signature header's value."""
    stamp = int(at.timestamp())
    return f"t={stamp},v1={_digest(body, secret, str(stamp))}"


def verify(body: bytes, header: str, *, secret: str, now: datetime, tolerance: float = 300.0) -> bool:
    """Return whether a signature fits the body and is at most `tolerance` seconds old: for receivers in Python."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    stamp = parts.get("t", "")
    if not (stamp.isascii() and stamp.isdigit()) or abs(now.timestamp() - int(stamp[:15])) > tolerance:
        return False
    return hmac.compare_digest(_digest(body, secret, stamp).encode(), parts.get("v1", "").encode())


def checked(url: str, *, what: str) -> str:
    """Return the part of an address that may be shown: its path and query may hold secrets.

    Raises:
        InvalidInput: it is none that can be posted to; `what` says where it stands.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        may_be = (
            parts.port != 0
            and bool(parts.hostname)
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:  # what Python says of it may hold a part of a password
        msg = f"{what} is no address to post to (its host or port cannot be read). Expected https://host/path or http://…"
        raise InvalidInput(msg, field=what) from None
    if parts.scheme not in {"http", "https"} or not may_be:
        msg = (
            f"{what} is no address to post to (scheme {scheme(url)}). Expected https://host/path or http://…"
        )
        raise InvalidInput(msg, field=what)
    if parts.username is not None:
        msg = (
            f"{what} holds a user or a password. Expected an address without: receivers check the signature."
        )
        raise InvalidInput(msg, field=what)
    return f"{parts.scheme}://{parts.netloc}"


def scheme(url: str) -> str:
    """Return how an address begins, where that is a scheme: a bare token has none, and is not shown."""
    return repr(urllib.parse.urlsplit(url).scheme) if "://" in url else "none"


def _connection(
    parts: urllib.parse.SplitResult, end: float, allowed: Allowed | None
) -> http.client.HTTPConnection:
    """Return a connection that goes to the addresses that were looked at, under the host's name."""
    assert parts.hostname is not None
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    targets = resolve(parts.hostname, port, allowed, timeout=end - monotonic())
    sock = connected(targets, port, end)
    timeout = max(end - monotonic(), LEAST)
    sock.settimeout(timeout)
    try:
        if secure:
            sock = ssl.create_default_context().wrap_socket(
                sock, server_hostname=parts.hostname, do_handshake_on_connect=False
            )
    except BaseException:
        sock.close()
        raise
    connection = http.client.HTTPConnection(parts.hostname, port, timeout=timeout)
    if secure:
        connection.default_port = 443
    connection.sock = sock
    return connection


def _ended_after(connection: http.client.HTTPConnection, timeout: float) -> threading.Timer:
    """Break a connection off when its time is over: the limit of a socket is for each piece that comes, not for all."""
    sock = connection.sock

    def end() -> None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    watch = threading.Timer(max(timeout, 0.0), end)
    watch.daemon = True
    watch.start()
    return watch


def _digest(body: bytes, secret: str, stamp: str) -> str:
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
