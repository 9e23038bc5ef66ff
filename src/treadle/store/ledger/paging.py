"""Reads a long list part by part, each by the key of the last row before it, so that an index finds it at once."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Column, Connection, Select, tuple_

from treadle.core.encoded import from_json
from treadle.core.errors import InvalidInput
from treadle.core.paging import MOST, Paged

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


def part(
    connection: Connection,
    query: Select[Any],
    kind: type[S],
    *,
    by: Sequence[Column[Any]],
    after: str,
    limit: int,
    descending: bool = True,
) -> Paged[S]:
    """Return the rows of a query for bodies that come after a key, as records of a kind.

    `by` are the columns of the order, which together tell rows apart; an index must have them, behind those that the query
    asks for by value.

    Raises:
        InvalidInput: the key is none that an earlier part gave, or the limit is out of bounds.
    """
    check_limit(limit)
    if after:
        given = tuple_(*by)
        known = tuple_(*_read(after, by))
        query = query.where(given < known if descending else given > known)
    order = [column.desc() if descending else column.asc() for column in by]
    found = connection.execute(query.add_columns(*by).order_by(*order).limit(limit + 1)).all()
    return parted(found, limit, lambda row: from_json(row[0], kind), lambda row: row[1:])


def parted(
    found: Sequence[Any], limit: int, made: Callable[[Any], T], key: Callable[[Any], Sequence[Any]]
) -> Paged[T]:
    """Return the first rows of what was found as a part; where more was found, there is a next one."""
    kept = found[:limit]
    after = written(key(kept[-1])) if len(found) > limit else ""
    return Paged(rows=tuple(made(row) for row in kept), after=after)


def written(key: Sequence[Any]) -> str:
    """Return a key as text that stands in an address."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(key))).decode().rstrip("=")


def read(text: str, kinds: Sequence[type]) -> list[Any]:
    """Return the values of a key, each of its kind.

    Raises:
        InvalidInput: it is not such a key.
    """
    try:
        values = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=list[Any])
    except (binascii.Error, msgspec.DecodeError, ValueError):
        values = []
    if [type(value) for value in values] != list(kinds):
        msg = f"after = {text[:80]!r} is no key of this list. Expected what an earlier part gave, or nothing for the first."
        raise InvalidInput(msg, field="after")
    return values


def check_limit(limit: int) -> None:
    """Make sure that a part is asked for that can be given at once.

    Raises:
        InvalidInput: it cannot.
    """
    if not 0 < limit <= MOST:
        msg = f"limit is {limit}. Expected 1 to {MOST} rows."
        raise InvalidInput(msg, field="limit")


def _read(after: str, by: Sequence[Column[Any]]) -> list[Any]:
    return read(after, [column.type.python_type for column in by])
