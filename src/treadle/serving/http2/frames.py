"""Frames of HTTP/2 (RFC 9113) as bytes, and header blocks (RFC 7541) that need no state."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Bytes before each frame's payload: length (16 and 8 bits), kind, flags, stream.
HEAD = struct.Struct(">HBBBI")
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
#: Flags.
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 1, 1, 4, 8, 32
#: Settings.
ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_HEADERS = 2, 3, 4, 5, 6
#: What each side may send before it has heard anything of the other.
WINDOW, FRAME = 65_535, 16_384
LAST_STREAM = LARGEST_WINDOW = (1 << 31) - 1
_SETTING = struct.Struct(">HI")


class Code(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Broken(Exception):
    """The other side does not keep to the protocol; the connection ends."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame.

    >>> frame(PING, ACK, 0, bytes(8)).hex()
    '0000080601000000000000000000000000'
    """
    size = len(payload)
    return HEAD.pack(size >> 8, size & 255, kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """Return the frame that says what this side takes."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def settings_of(payload: bytes) -> list[tuple[int, int]]:
    """Return what the other side takes, by setting.

    Raises:
        Broken: these are no settings.
    """
    if len(payload) % _SETTING.size:
        raise Broken(Code.FRAME_SIZE_ERROR, "settings are six bytes each")
    return list(_SETTING.iter_unpack(payload))


def number(payload: bytes) -> int:
    """Return the 31 bits that a frame of four bytes holds.

    Raises:
        Broken: it has another length.
    """
    if len(payload) != 4:
        raise Broken(Code.FRAME_SIZE_ERROR, "expected four bytes")
    return int.from_bytes(payload) & LAST_STREAM


def window_update(stream: int, count: int) -> bytes:
    """Return the frame that lets the other side send so many bytes more."""
    return frame(WINDOW_UPDATE, 0, stream, count.to_bytes(4))


def reset(stream: int, code: Code) -> bytes:
    """Return the frame that ends a stream."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4))


def goaway(last: int, code: Code, text: str = "") -> bytes:
    """Return the frame that says that streams after `last` are not answered."""
    return frame(GOAWAY, 0, 0, last.to_bytes(4) + code.to_bytes(4) + text.encode())


def unpadded(flags: int, payload: bytes) -> bytes:
    """Return what a frame of data or headers holds, without padding.

    Raises:
        Broken: there is more padding than frame.
    """
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Broken(Code.PROTOCOL_ERROR, "more padding than there is room")
    return payload[1 : len(payload) - payload[0]]


def block(headers: Sequence[tuple[str, str]]) -> bytes:
    """Return headers as literals that are kept in nobody's table, so that a block can be made once and sent often.

    >>> block([("grpc-status", "0")])
    b'\\x00\\x0bgrpc-status\\x010'
    """
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)


def _text(value: str) -> bytes:
    raw = value.encode("ascii")
    size, more = len(raw), bytearray()
    if size < 127:
        return bytes((size,)) + raw
    size -= 127
    while size > 127:
        more.append(size & 127 | 128)
        size >>= 7
    more.append(size)
    return b"\x7f" + bytes(more) + raw
