"""The address that a server listens at: who may be there, and one socket that all its workers accept from."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
import struct
import sys
from contextlib import suppress

from treadle.core.errors import AuthRequired, InvalidInput
from treadle.core.optional import require
from treadle.core.settings import ServingSettings

#: Connections that wait to be accepted; the kernel may allow fewer (`net.core.somaxconn`).
BACKLOG = 4096
#: Linux: the option that sets a socket's packet filter, and the filter's one instruction, "return 0 bytes".
_ATTACH_FILTER, _RETURN = 26, 6


def check_address(settings: ServingSettings, *, guarded: bool = False) -> None:
    """Make sure that a server which others can reach asks for a token; `guarded`: there is a file of them.

    Raises:
        AuthRequired: the address is not loopback, and there is no token.
    """
    if settings.token or guarded or is_loopback(settings.host):
        return
    msg = (
        f"The server would listen on {settings.host!r}, where others can reach it, without a token. Set serving.token "
        '(or TREADLE_SERVING__TOKEN_FILE), make one with `treadle tokens create`, or set serving.host = "127.0.0.1".'
    )
    raise AuthRequired(msg)


def check_free(settings: ServingSettings) -> None:
    """Make sure, before the server tries, that an address can be listened at.

    Raises:
        InvalidInput: it is taken, or not of this machine.
        MissingExtra: gRPC is asked for and not installed.
    """
    _bound(settings.host, settings.port, "serving.port").close()
    if not settings.grpc_port:
        return
    require("hpack", extra="grpc")
    if settings.grpc_port == settings.port:
        msg = f"Port {settings.port} cannot be both HTTP's and gRPC's. Set serving.grpc_port to another one."
        raise InvalidInput(msg, field="serving.grpc_port")
    _bound(settings.host, settings.grpc_port, "serving.grpc_port").close()


def listen(settings: ServingSettings, *, setting: str = "serving.port") -> socket.socket:
    """Return a socket that listens; what it accepts is closed once the other side has taken nothing for a while.

    `setting` is the one that says where.

    Raises:
        InvalidInput: as for `check_free`.
    """
    return _listening(_bound(settings.host, settings.port, setting), settings)


def listen_for_grpc(settings: ServingSettings) -> socket.socket:
    """Return a socket of this worker's own that listens for gRPC.

    Raises:
        InvalidInput: as for `check_free`.
    """
    return _listening(_bound(settings.host, settings.grpc_port, "serving.grpc_port", shared=True), settings)


def _listening(listener: socket.socket, settings: ServingSettings) -> socket.socket:
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.idle_timeout * 1000))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    listener.set_inheritable(True)
    return listener


def _bound(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:  # each worker has one
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        msg = f"Cannot listen on {host}:{port}: {error.strerror}. Set {setting} to another one."
        raise InvalidInput(msg, field=setting) from error
    return listener


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's own, which nobody else can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def let_nobody_in(listener: int) -> None:
    """Drop what comes to a listening socket from now on; connections that are made already can still be accepted.

    Whoever connects now hears nothing, tries again after a second, and is refused then. To close the socket at once
    would reset connections whose first request is on its way.
    """
    if sys.platform != "linux":
        return
    drop = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(drop))
    with socket.socket(fileno=os.dup(listener)) as shared, suppress(OSError):
        shared.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
