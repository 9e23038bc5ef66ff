"""What every source must do, whether it offers files or is read in order; tried with a reader that may die at any moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from treadle.core.errors import SourceUnreadable
from treadle.data.checks import check
from treadle.data.contracts import Contract
from treadle.data.raw import Batch, OrderedSource, Raw, Source, SourceFile

#: A row of the suite: `id`, which is the key, `name`, `score` and `stamp`, an integer that grows with each row.
Row = Mapping[str, Any]
#: Where the reader dies: before a commit, or after it and before the source is told.
Death = Literal["before the commit", "before the acknowledgement"]


class Rows(Contract):
    """The rows of the suite."""

    id: int
    name: str | None
    score: float | None
    stamp: int


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A source over a place that is empty at first."""

    #: The project's folder.
    root: Path
    #: Declares the source; each call returns an equal one. Where it reads in batches, of at most 100 rows.
    declare: Callable[[], Any]
    #: Adds rows to the place; they are there when it returns.
    land: Callable[[Sequence[Row]], None]
    #: Takes the place away, so that it cannot be read; None: there is no such thing.
    lose: Callable[[], None] | None = None
    #: A secret in the declaration, which nobody may see.
    secret: str = ""


#: Makes an offer in an empty folder, and ends it.
Build = Callable[[Path], AbstractContextManager[Offer]]


class _Died(Exception):
    """The reader was killed."""


@dataclass
class Reader:
    """Reads a source as the ingestion does: what is new, each portion committed before the next one is asked for."""

    offer: Offer
    #: The committed rows.
    rows: list[dict[str, Any]] = field(default_factory=list)
    #: Stamps of the files that were committed, or the position of a source that is read in order.
    _known: set[tuple[str, str]] = field(default_factory=set)
    _position: str = "null"

    @property
    def ids(self) -> set[int]:
        """The keys of the committed rows."""
        return {row["id"] for row in self.rows}

    def read(self, *, death: Death | None = None) -> int:
        """Read what is new and return how many rows that were; the reader may die in its first portion."""
        before = len(self.rows)
        source = self.offer.declare()
        try:
            if hasattr(source, "batches"):
                self._read_in_order(source, death)
            else:
                self._read_files(source, death)
        except _Died:
            pass
        return len(self.rows) - before

    def _read_in_order(self, source: OrderedSource, death: Death | None) -> None:
        with source.batches(self.offer.root, after=json.loads(self._position), key=("id",)) as batches:
            for batch in batches:
                if death == "before the commit":
                    raise _Died
                self._commit(batch)
                if death is not None:
                    raise _Died
                batch.acknowledge()

    def _commit(self, batch: Batch) -> None:
        self.rows += _good(batch.raw)
        self._position = json.dumps(batch.position)

    def _read_files(self, source: Source, death: Death | None) -> None:
        for file in source.listing(self.offer.root):
            if (file.path, file.stamp) in self._known:
                continue
            raw = source.parse(file, source.fetch(file))
            if death == "before the commit":
                raise _Died
            self.rows += _good(raw)
            self._known.add((file.path, file.stamp))
            if death is not None:
                raise _Died


def some_rows(start: int, stop: int) -> list[Row]:
    """Return rows with the keys from `start` to before `stop`."""
    names = ("Zoë", None, "O'Neil; x", "Nguyễn")
    return [
        {"id": i, "name": names[i % 4], "score": None if i % 5 == 0 else i / 4, "stamp": 10_000 + i}
        for i in range(start, stop)
    ]


def check_rows_come_as_they_landed(offer: Offer) -> None:
    """Every row comes once, with the values that it has."""
    offer.land(some_rows(0, 250))
    reader = Reader(offer)

    reader.read()

    assert sorted(reader.rows, key=lambda row: row["id"]) == some_rows(0, 250)


def check_an_empty_place_has_no_rows(offer: Offer) -> None:
    """Where nothing has landed, nothing comes."""
    assert Reader(offer).read() == 0


def check_what_was_read_does_not_come_again(offer: Offer) -> None:
    """Reading twice gives nothing the second time."""
    offer.land(some_rows(0, 150))
    reader = Reader(offer)
    reader.read()

    assert reader.read() == 0


def check_only_what_is_new_is_needed(offer: Offer) -> None:
    """What lands later comes later; some sources show a few known rows again, which are told by their key."""
    offer.land(some_rows(0, 150))
    reader = Reader(offer)
    reader.read()
    offer.land(some_rows(150, 330))

    reader.read()

    assert reader.ids == set(range(330))
    assert len(reader.rows) <= 150 + 330


def check_a_reader_that_dies_before_the_commit_loses_nothing(offer: Offer) -> None:
    """What was read and not committed comes again."""
    offer.land(some_rows(0, 250))
    reader = Reader(offer)

    assert reader.read(death="before the commit") == 0
    reader.read()

    assert reader.ids == set(range(250))
    assert len(reader.rows) == 250


def check_a_reader_that_dies_before_the_acknowledgement_loses_nothing(offer: Offer) -> None:
    """What was committed may come again, to be told by its key; the rest comes."""
    offer.land(some_rows(0, 250))
    reader = Reader(offer)

    reader.read(death="before the acknowledgement")
    offer.land(some_rows(250, 260))
    reader.read()

    assert reader.ids == set(range(260))


def check_a_reader_goes_on_where_it_was_killed(offer: Offer) -> None:
    """However often it is killed after a commit, it comes to the end."""
    offer.land(some_rows(0, 250))
    reader = Reader(offer)

    for _ in range(5):
        if not reader.read(death="before the acknowledgement"):
            break
    reader.read()

    assert reader.ids == set(range(250))


def check_a_lost_place_is_told(offer: Offer) -> None:
    """A place that cannot be read is an error that says so, and no end of the rows."""
    if offer.lose is None:
        return
    offer.land(some_rows(0, 10))
    offer.lose()

    with pytest.raises(SourceUnreadable) as caught:
        Reader(offer).read()

    assert len(str(caught.value)) > 20
    assert not offer.secret or offer.secret not in str(caught.value)


def check_the_declaration_is_plain(offer: Offer) -> None:
    """The declaration is JSON, the same each time, and holds no secret; its `source` is the plug-in's name."""
    spec = offer.declare().spec()

    text = json.dumps(spec, allow_nan=False)
    assert json.loads(text) == offer.declare().spec() == spec
    assert isinstance(spec["source"], str)
    assert not offer.secret or offer.secret not in text


def check_batches_are_bounded(offer: Offer) -> None:
    """A source that is read in order gives batches that fit into memory; each names itself and has a plain position."""
    offer.land(some_rows(0, 250))

    for batch in _batches(offer):
        assert batch.raw.frame.height <= 100
        assert batch.raw.file.strip()
        assert json.loads(json.dumps(batch.position)) == batch.position


def check_a_listing_tells_changes(offer: Offer) -> None:
    """A source that offers files lists them sorted, each once, with a stamp that holds while it does not change."""
    offer.land(some_rows(0, 20))
    offer.land(some_rows(20, 40))
    source = offer.declare()
    if hasattr(source, "batches"):
        return

    files: list[SourceFile] = source.listing(offer.root)

    paths = [file.path for file in files]
    assert paths == sorted(set(paths))
    assert files == source.listing(offer.root)
    assert all(file.size == len(source.fetch(file)) for file in files)
    assert not any(":" in file.stamp for file in files)


def _batches(offer: Offer) -> Iterator[Batch]:
    source = offer.declare()
    if hasattr(source, "batches"):
        with source.batches(offer.root, after=None, key=("id",)) as batches:
            yield from batches


def _good(raw: Raw) -> list[dict[str, Any]]:
    """Return the rows that meet the contract; none may break it."""
    checked = check(raw, Rows.spec(), rules=Rows.rules(), needed=("id",))
    assert checked.bad.height == 0, checked.bad.head(3).to_dicts()
    good: pl.DataFrame = checked.good.select("id", "name", "score", "stamp")
    return good.to_dicts()


#: All checks; each takes an offer whose place is empty.
CHECKS = (
    check_rows_come_as_they_landed,
    check_an_empty_place_has_no_rows,
    check_what_was_read_does_not_come_again,
    check_only_what_is_new_is_needed,
    check_a_reader_that_dies_before_the_commit_loses_nothing,
    check_a_reader_that_dies_before_the_acknowledgement_loses_nothing,
    check_a_reader_goes_on_where_it_was_killed,
    check_a_lost_place_is_told,
    check_the_declaration_is_plain,
    check_batches_are_bounded,
    check_a_listing_tells_changes,
)
