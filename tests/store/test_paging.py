"""A long list is read part by part, each by the key of the row before it."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select

from treadle.core.errors import InvalidInput
from treadle.core.paging import MOST, Paged
from treadle.core.records import to_json
from treadle.store.ledger import paging
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger


class Kept(msgspec.Struct):
    """A record of the list."""

    name: str


def put(ledger: Ledger, *names: str, at: int = 1) -> None:
    with ledger.write() as connection:
        for name in names:
            body = to_json(Kept(name))
            t.put(connection, t.silences, id=name, until=at, body=body)


def part(ledger: Ledger, *, after: str = "", limit: int = 2, descending: bool = True) -> Paged[Kept]:
    by = [t.silences.c.until, t.silences.c.id]
    with ledger.read() as connection:
        wanted = select(t.silences.c.body)
        return paging.part(connection, wanted, Kept, by=by, after=after, limit=limit, descending=descending)


@pytest.mark.parametrize("descending", [True, False])
def test_the_parts_are_the_whole_list_in_its_order(ledger: Ledger, descending: bool) -> None:
    put(ledger, "a", "b", "c", "d", "e")

    seen, after = [], ""
    while True:
        found = part(ledger, after=after, descending=descending)
        seen += [one.name for one in found.rows]
        after = found.after
        if not after:
            break

    assert seen == sorted("abcde", reverse=descending)


def test_what_comes_meanwhile_moves_no_row_to_another_part(ledger: Ledger) -> None:
    put(ledger, "a", "b", "c", "d")

    first = part(ledger)
    put(ledger, "e", "f", at=2)
    second = part(ledger, after=first.after)

    assert [one.name for one in (*first.rows, *second.rows)] == ["d", "c", "b", "a"]
    assert second.after == ""


@pytest.mark.parametrize("after", ["x", "W10", "WzEsMl0", "WyJhIiwiYiJd", "é", "'; --"])
def test_a_key_that_no_part_gave_is_refused(ledger: Ledger, after: str) -> None:
    with pytest.raises(InvalidInput, match="is no key of this list"):
        part(ledger, after=after)


@pytest.mark.parametrize("limit", [0, -1, MOST + 1])
def test_a_part_is_not_larger_than_can_be_given_at_once(ledger: Ledger, limit: int) -> None:
    with pytest.raises(InvalidInput, match=f"Expected 1 to {MOST} rows"):
        part(ledger, limit=limit)
