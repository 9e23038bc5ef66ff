"""A part of a long list, and the key of what comes after it."""

from __future__ import annotations

from typing import Generic, TypeVar

from treadle.core.records import Record

T = TypeVar("T")

#: Rows of a part, and how many may be asked for at once.
USUAL, MOST = 50, 10_000


class Paged(Record, Generic[T], frozen=True, kw_only=True):
    """One part of a list, read by key: what is added or removed meanwhile moves no row to another part."""

    rows: tuple[T, ...]
    #: The key to ask for the next part with; empty: this is the last one.
    after: str = ""
