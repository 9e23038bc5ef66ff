"""A look at an Arrow stream before a frame library reads it: that it is whole, and no more than it seems.

A stream is a chain of messages: four bytes ff, the length of a head (a FlatBuffers table), the head, and as many bytes of body
as the head says (https://arrow.apache.org/docs/format/Columnar.html). A few bytes can claim a billion rows, and a
compressed body can unpack to anything, so the rows are counted, and compressed bodies are refused or what they claim is summed up.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from treadle.core.errors import InvalidInput, TooLarge

_CONTINUES = b"\xff\xff\xff\xff"
_INT, _LONG, _SHORT = struct.Struct("<i"), struct.Struct("<q"), struct.Struct("<H")
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
#: Fields of a batch.
_BUFFERS, _COMPRESSION = 2, 3


class Damaged(InvalidInput):
    """The bytes are no Arrow stream."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The body is not an Arrow stream: {why}")


def rows_of(data: bytes, *, most: int) -> int:
    """Return how many rows a stream says it has.

    Raises:
        Damaged: it is cut off, or no stream.
        TooLarge: a batch says that it has more than `most` rows.
        InvalidInput: a body is compressed.
    """
    rows = 0
    for head, kind, batch, _ in _messages(data):
        if batch is None:
            continue
        if _field(head, batch, _COMPRESSION) is not None:
            msg = (
                "The stream's buffers are compressed. Send them as they are; the whole body may be compressed with the "
                "header 'Content-Encoding: gzip'."
            )
            raise InvalidInput(msg)
        rows += _counted(head, batch, most) if kind == _BATCH else 0
    return rows


def unpacked_size(data: bytes, *, most: int) -> int:
    """Return how many bytes the buffers of a stream say they unpack to; a reader makes room for no more than that.

    Raises:
        Damaged: it is cut off, or no stream.
        TooLarge: a batch says that it has more than `most` rows.
    """
    size = 0
    for head, _, batch, start in _messages(data):
        if batch is not None:
            _counted(head, batch, most)
            size += _buffers(data, head, batch, start)
    return size


def _messages(data: bytes) -> Iterator[tuple[bytes, int, int | None, int]]:
    """Yield each message's head, kind, where its batch stands in the head if it has one, and where its body begins."""
    place, begun = 0, False
    while place < len(data):
        if data[place : place + 4] == _CONTINUES:
            place += 4
        length = _read(_INT, data, place)
        place += 4
        if length == 0:
            break
        if length < 8 or place + length > len(data):
            msg = (
                f"A message at byte {place} says it has {length} bytes, of {len(data) - place} that are left."
            )
            raise Damaged(msg)
        head = data[place : place + length]
        kind, batch, body = _message(head)
        begun = begun or kind == _SCHEMA
        place += length + body
        if place > len(data):
            msg = f"it ends {place - len(data)} bytes before its last message does."
            raise Damaged(msg)
        yield head, kind, batch, place - body
    if not begun:
        msg = "it has no schema."
        raise Damaged(msg)


def _message(head: bytes) -> tuple[int, int | None, int]:
    """Return a message's kind, where its batch stands, and bytes of body."""
    root = _read(_INT, head, 0)
    kind_at, content_at, body_at = (_field(head, root, number) for number in (1, 2, 3))
    kind = head[kind_at] if kind_at is not None and kind_at < len(head) else 0
    body = _read(_LONG, head, body_at) if body_at is not None else 0
    if body < 0:
        msg = f"a message says that its body has {body} bytes."
        raise Damaged(msg)
    if kind not in {_DICTIONARY, _BATCH} or content_at is None:
        return kind, None, body
    batch = content_at + _read(_INT, head, content_at)
    if kind == _DICTIONARY:
        inner = _field(head, batch, 1)
        if inner is None:
            return kind, None, body
        batch = inner + _read(_INT, head, inner)
    return kind, batch, body


def _counted(head: bytes, batch: int, most: int) -> int:
    count = _rows(head, batch)
    if count > most:
        msg = f"The stream has a batch of {count} rows. At most {most} are allowed."
        raise TooLarge(msg, field="rows")
    return count


def _buffers(data: bytes, head: bytes, batch: int, start: int) -> int:
    """Return what the buffers of a batch unpack to; a compressed one begins with that, or with -1 where it is as it is."""
    at, is_packed = _field(head, batch, _BUFFERS), _field(head, batch, _COMPRESSION) is not None
    if at is None:
        return 0
    vector, size = at + _read(_INT, head, at), 0
    number = _read(_INT, head, vector)
    if not 0 <= number <= len(head) // 16:
        msg = f"a batch says it has {number} buffers, in {len(head)} bytes."
        raise Damaged(msg)
    for one in range(number):
        offset, length = (_read(_LONG, head, vector + 4 + 16 * one + more) for more in (0, 8))
        claimed = _read(_LONG, data, start + offset) if is_packed and length else -1
        if length < 0 or claimed < -1:
            msg = f"a buffer says that it has {min(length, claimed)} bytes."
            raise Damaged(msg)
        size += length if claimed == -1 else claimed
    return size


def _rows(head: bytes, batch: int) -> int:
    """Return the largest number of values that a batch says it or a column of it has."""
    count_at, nodes_at = _field(head, batch, 0), _field(head, batch, 1)
    counts = [_read(_LONG, head, count_at) if count_at is not None else 0]
    if nodes_at is not None:
        nodes = nodes_at + _read(_INT, head, nodes_at)
        number = _read(_INT, head, nodes)
        if not 0 <= number <= len(head) // 16:
            msg = f"a batch says it has {number} columns, in {len(head)} bytes."
            raise Damaged(msg)
        counts += [_read(_LONG, head, nodes + 4 + 16 * node) for node in range(number)]
    if min(counts) < 0:
        msg = f"a batch says that it has {min(counts)} rows."
        raise Damaged(msg)
    return max(counts)


def _field(head: bytes, table: int, number: int) -> int | None:
    """Return where a field of a FlatBuffers table stands; None: it is not there."""
    entries = table - _read(_INT, head, table)
    size = _read(_SHORT, head, entries)
    place = 4 + 2 * number
    if place + 2 > size:
        return None
    offset = _read(_SHORT, head, entries + place)
    return table + offset if offset else None


def _read(kind: struct.Struct, data: bytes, place: int) -> int:
    if not 0 <= place <= len(data) - kind.size:
        msg = f"it points to byte {place} of {len(data)}."
        raise Damaged(msg)
    return int(kind.unpack_from(data, place)[0])
