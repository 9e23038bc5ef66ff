"""The body of a request, never more of it in memory than is allowed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import suppress
from typing import Protocol

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, TooLarge, WrongMediaType

#: How much of a body that is too large is read and thrown away, so that the caller gets to read the refusal.
_DISCARD_BYTES, _DISCARD_SECONDS = 256 * 1024 * 1024, 3.0
#: What bodies may be said to be; curl and urllib say the last one of everything that they are not told about.
_MEDIA_TYPES = {
    "",
    "application/json",
    "text/json",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
}
_EITHER_HEADER = 47  # zlib's word for "gzip or deflate, look at the header"


class Incoming(Protocol):
    """A body that can be taken whole or piece by piece."""

    def __call__(self) -> Awaitable[bytes]:
        """Return all of it."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return its pieces."""
        ...


def check_media_type(given: str) -> None:
    """Refuse a body that is said to be what it cannot be read as; one that says nothing is tried.

    Raises:
        WrongMediaType: as the name says.
    """
    media = given.partition(";")[0].strip().lower()
    if media in _MEDIA_TYPES or media.endswith("+json"):
        return
    msg = f"The body is said to be {media[:60]!r}. Expected the header 'Content-Type: application/json'."
    raise WrongMediaType(msg, field="content-type")


async def read(incoming: Incoming, headers: Mapping[str, str], *, limit: int) -> bytes:
    """Return the body, unpacked where it came compressed.

    Raises:
        TooLarge: it has more than `limit` bytes, as it is sent or unpacked.
        InvalidInput: it is compressed in another way than gzip or deflate, or damaged.
    """
    length = headers.get("content-length")
    if length is not None and length.isascii() and length.isdecimal():
        if int(length[:20]) > limit:
            if headers.get("expect") is None:
                with suppress(TimeoutError):  # a caller that sends none of it is not waited for
                    await asyncio.wait_for(_pieces(incoming, 0), _DISCARD_SECONDS)
            raise _too_large(limit, f"{length[:20]} bytes")
        data = await incoming()
    else:
        collected = await _pieces(incoming, limit)
        if collected is None:
            raise _too_large(limit, f"more than {limit} bytes")
        data = collected
    encoding = headers.get("content-encoding", "identity")
    return data if encoding == "identity" else _unpacked(data, encoding, limit)


async def _pieces(incoming: Incoming, limit: int) -> bytes | None:
    """Return the body; None: it has more than `limit` bytes, of which most were read and thrown away."""
    found, seen, end = bytearray(), 0, 0.0
    async for piece in incoming:
        seen += len(piece)
        if seen <= limit:
            found += piece
            continue
        found.clear()
        end = end or monotonic() + _DISCARD_SECONDS
        if seen > limit + _DISCARD_BYTES or monotonic() > end:
            break
    return bytes(found) if seen <= limit else None


def _unpacked(data: bytes, encoding: str, limit: int) -> bytes:
    if encoding not in {"gzip", "deflate"}:
        msg = f"The body is compressed as {encoding[:20]!r}. Expected gzip, deflate or nothing."
        raise InvalidInput(msg)
    unpacker = zlib.decompressobj(_EITHER_HEADER)
    try:
        found = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        msg = f"The body is not {encoding}: {error}."
        raise InvalidInput(msg) from error
    if len(found) > limit:
        raise _too_large(limit, f"more than {limit} bytes when it is unpacked")
    return found


def _too_large(limit: int, came: str) -> TooLarge:
    return TooLarge(f"The body has {came}. At most {limit} are allowed (setting serving.max_body).")
