"""A look at an Arrow stream before a frame library reads it: that it is whole, and no more than it seems.

A stream is a chain of messages: four bytes ff, the length of a head (a FlatBuffers table), the head, and as many bytes of body
as the head says (https://arrow.apache.org/docs/format/Columnar.html). A few bytes can claim a billion rows, and a
compressed body can unpack to anything, so the rows are counted and compressed bodies are refused.
"""

from __future__ import annotations

import struct

from treadle.core.errors import InvalidInput, TooLarge

_CONTINUES = b"\xff\xff\xff\xff"
_INT, _LONG, _SHORT = struct.Struct("<i"), struct.Struct("<q"), struct.Struct("<H")
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3


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
    place, rows, begun = 0, 0, False
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
        kind, count, body = _message(data[place : place + length])
        begun = begun or kind == _SCHEMA
        place += length + body
        if place > len(data):
            msg = f"it ends {place - len(data)} bytes before its last message does."
            raise Damaged(msg)
        if count > most:
            msg = f"The stream has a batch of {count} rows. At most {most} are allowed."
            raise TooLarge(msg, field="rows")
        rows += count if kind == _BATCH else 0
    if not begun:
        msg = "it has no schema."
        raise Damaged(msg)
    return rows


def _message(head: bytes) -> tuple[int, int, int]:
    """Return a message's kind, number of rows, and bytes of body."""
    root = _read(_INT, head, 0)
    kind_at, content_at, body_at = (_field(head, root, number) for number in (1, 2, 3))
    kind = head[kind_at] if kind_at is not None and kind_at < len(head) else 0
    body = _read(_LONG, head, body_at) if body_at is not None else 0
    if body < 0:
        msg = f"a message says that its body has {body} bytes."
        raise Damaged(msg)
    if kind not in {_DICTIONARY, _BATCH} or content_at is None:
        return kind, 0, body
    batch = content_at + _read(_INT, head, content_at)
    if kind == _DICTIONARY:
        inner = _field(head, batch, 1)
        if inner is None:
            return kind, 0, body
        batch = inner + _read(_INT, head, inner)
    if _field(head, batch, 3) is not None:
        msg = (
            "The stream's buffers are compressed. Send them as they are; the whole body may be compressed with the "
            "header 'Content-Encoding: gzip'."
        )
        raise InvalidInput(msg)
    return kind, _rows(head, batch), body


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
