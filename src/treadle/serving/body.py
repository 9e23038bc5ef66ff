"""The body of a request, never more of it in memory than is allowed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import suppress
from typing import Protocol

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, TooLarge, TreadleError, WrongMediaType

#: How much of a body that is too large is read and thrown away, so that the caller gets to read the refusal.
_DISCARD_BYTES, _DISCARD_SECONDS = 256 * 1024 * 1024, 3.0
#: Smaller bodies are taken in one piece.
_AT_ONCE = 64 * 1024
#: Bodies of fewer digits in their length are taken without being counted.
_FEW_DIGITS = 5
_EITHER_HEADER = 47  # zlib's word for "gzip or deflate, look at the header"


class Incoming(Protocol):
    """A body that can be taken whole or piece by piece."""

    def __call__(self) -> Awaitable[bytes]:
        """Return all of it."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return its pieces."""
        ...


class Meter(Protocol):
    """Is told what a body takes."""

    def reserve(self, count: int) -> None:
        """Hold so many bytes more; raise where that is too much."""
        ...

    def arrived(self, count: int) -> None:
        """Note that so many bytes have come."""
        ...


class Unmetered:
    """Lets everything pass."""

    def reserve(self, count: int) -> None:
        """Hold so many bytes more."""

    def arrived(self, count: int) -> None:
        """Note that so many bytes have come."""


_UNMETERED = Unmetered()


async def read(
    incoming: Incoming, headers: Mapping[str, str], *, limit: int, meter: Meter | None = None
) -> bytes:
    """Return the body, unpacked where it came compressed; `meter` is asked before any of it is in memory.

    Raises:
        TooLarge: it has more than `limit` bytes, as it is sent or unpacked.
        WrongMediaType: it is compressed in another way than gzip or deflate.
        InvalidInput: it is damaged.
        CallerGone: it ended before all of it had come.
    """
    meter = meter or _UNMETERED
    length = headers.get("content-length")
    if length is not None and length.isascii() and length.isdecimal():
        is_small = len(length) < _FEW_DIGITS and int(length) <= limit
        data = await incoming() if is_small else await _sized(incoming, headers, limit=limit, meter=meter)
    else:
        data = await _unsized(incoming, limit=limit, meter=meter)
    encoding = headers.get("content-encoding", "identity")
    return data if encoding == "identity" else unpacked(data, encoding, limit=limit, meter=meter)


async def _sized(incoming: Incoming, headers: Mapping[str, str], *, limit: int, meter: Meter) -> bytes:
    length = int(headers["content-length"][:20])
    try:
        if length > limit:
            raise _too_large(limit, f"{length} bytes")
        meter.reserve(length)
    except TreadleError:
        await discard(incoming, headers)
        raise
    found = bytearray()
    async for piece in incoming:
        meter.arrived(len(piece))
        found += piece
    return bytes(found)


async def _unsized(incoming: Incoming, *, limit: int, meter: Meter) -> bytes:
    """Return the body; of one that is not taken, most is read and thrown away, so that the caller gets to read why."""
    found, seen, end = bytearray(), 0, 0.0
    problem: TreadleError | None = None
    async for piece in incoming:
        seen += len(piece)
        if problem is None:
            meter.arrived(len(piece))
            try:
                if seen > limit:
                    raise _too_large(limit, f"more than {limit} bytes")
                meter.reserve(len(piece))
                found += piece
            except TreadleError as error:
                problem, end = error, monotonic() + _DISCARD_SECONDS
                found.clear()
        elif seen > limit + _DISCARD_BYTES or monotonic() > end:
            break
    if problem:
        raise problem
    return bytes(found)


async def discard(incoming: Incoming, headers: Mapping[str, str]) -> None:
    """Read a large body that is not wanted and throw it away, so that the caller gets to read the refusal."""
    if getattr(incoming, "whole", None) is not None:
        return  # all of it is here, and there may be no task that could wait for more
    length = headers.get("content-length", "")
    # What is small has come already, and the HTTP server passes over it.
    is_small = length.isascii() and length.isdecimal() and int(length[:20]) <= _AT_ONCE
    if headers.get("expect") is None and not is_small:
        # A caller that sends none of it is not waited for, and one that goes or sends nonsense hears why it was refused.
        with suppress(TimeoutError, TreadleError):
            await asyncio.wait_for(_throw_away(incoming), _DISCARD_SECONDS)


async def _throw_away(incoming: Incoming) -> None:
    seen = 0
    async for piece in incoming:
        seen += len(piece)
        if seen > _DISCARD_BYTES:
            break


def unpacked(data: bytes, encoding: str, *, limit: int, meter: Meter | None = None) -> bytes:
    """Return what was compressed.

    Raises:
        WrongMediaType, InvalidInput, TooLarge: as for `read`.
    """
    if encoding not in {"gzip", "deflate"}:
        msg = f"The body is compressed as {encoding[:20]!r}. Expected gzip, deflate or nothing."
        raise WrongMediaType(msg, field="content-encoding")
    unpacker = zlib.decompressobj(_EITHER_HEADER)
    try:
        found = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        msg = f"The body is not {encoding}: {error}."
        raise InvalidInput(msg) from error
    if len(found) > limit:
        raise _too_large(limit, f"more than {limit} bytes when it is unpacked")
    if not unpacker.eof or unpacker.unused_data:
        where = "has more behind" if unpacker.eof else "ends in the middle of"
        msg = f"The body {where} its {encoding}. Expected it whole, and compressed in one piece."
        raise InvalidInput(msg)
    if meter is not None:
        meter.reserve(len(found))
    return found


def _too_large(limit: int, came: str) -> TooLarge:
    return TooLarge(f"The body has {came}. At most {limit} are allowed (setting serving.max_body).")
