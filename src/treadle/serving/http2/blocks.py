"""Blocks of headers that clients repeat, as they do with each call: looked up by their bytes, and not decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from treadle.core.optional import require
from treadle.serving.http2.frames import Broken, Code
from treadle.serving.http2.streams import Headers

#: Blocks that are remembered, and the longest.
_BLOCKS, _BLOCK = 256, 1024
#: A block that begins so changes the size of the table of headers.
_MASK, _RESIZES = 0xE0, 0x20


class Blocks:
    """The header blocks of one connection."""

    def __init__(self, understand: Callable[[Headers], Any], *, most: int) -> None:
        """Prepare it; `understand` says what to make of headers, which have at most so many bytes.

        Raises:
            MissingExtra: hpack is not installed.
        """
        self._hpack: Any = require("hpack", extra="grpc")
        self._understand, self._most = understand, most
        self._decoder = self._hpack.Decoder(max_header_list_size=most)
        self._known: dict[bytes, Any] = {}

    def understood(self, block: bytes) -> Any:
        """Return what to make of a block; each has to come here once, in order, as it may change what others mean.

        Raises:
            Broken: it cannot be decoded, or has too many bytes.
        """
        if (known := self._known.get(block)) is not None:
            return known
        before = self._state()
        try:
            found = self._decoder.decode(block, raw=True)
        except self._hpack.OversizedHeaderListError as error:
            raise Broken(Code.ENHANCE_YOUR_CALM, f"headers of more than {self._most} bytes") from error
        except self._hpack.HPACKError as error:
            raise Broken(Code.COMPRESSION_ERROR, str(error)) from error
        made = self._understand(tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in found))
        if self._has_changed(before) or (block[:1] and block[0] & _MASK == _RESIZES):
            self._known.clear()
        elif len(block) <= _BLOCK:
            if len(self._known) >= _BLOCKS:
                self._known.clear()
            self._known[block] = made
        return made

    def _state(self) -> tuple[int, Any]:
        entries = self._decoder.header_table.dynamic_entries
        return len(entries), entries[0] if entries else None

    def _has_changed(self, before: tuple[int, Any]) -> bool:
        """Say whether the table of headers, by which later blocks are read, is another than before."""
        count, newest = self._state()
        return count != before[0] or newest is not before[1]
