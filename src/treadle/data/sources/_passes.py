"""A pass over a table: its pages from where the last pass ended, and what the next pass has to look at again.

With a watermark, a pass ends at the highest watermark that was there when it began. A writer may have stamped a row before
that and commit it later, so the next pass begins an *overlap* earlier. Once a pass has begun an overlap after that
watermark was first seen, and no higher one has come, everything up to it has been seen: the place is *settled*, and a table that
no longer changes costs two look-ups in an index. Without a watermark each pass reads the whole table, and leaves out
the pages that are as they were.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

from treadle.core.errors import SourceUnreadable
from treadle.data.raw import Batch
from treadle.data.sources import _cells
from treadle.data.sources._digests import digest_of, sum_of
from treadle.data.sources._engines import Engine, Page
from treadle.data.sources._keyset import Keyset, Overlap, Value, written

#: Pages of a table without a watermark whose digests are kept.
_PAGES_KEPT = 1_000


class Seen(msgspec.Struct, frozen=True):
    """How many rows were seen, and the sum of their hashes, which does not depend on their order."""

    rows: int = 0
    sum: str = "0"

    def more(self, frame: pl.DataFrame) -> Seen:
        """Return the same with some more rows."""
        return Seen(self.rows + frame.height, f"{(int(self.sum, 16) + sum_of(frame)) % 2**64:x}")


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a pass stands; it is stored as plain values."""

    #: What the place belongs to: a digest of the query and of its order.
    of: str
    #: The last row that was read: its watermark, where there is one, and its key.
    last: tuple[Value, ...] | None = None
    #: Whether the pass ended there.
    whole: bool = False
    #: The highest watermark when the pass began, and when that was first seen.
    top: Value | None = None
    since: datetime | None = None
    #: The watermark from which the next pass looks again, and what was there from that on.
    recheck: Value | None = None
    seen: Seen = Seen()
    #: Whether nothing up to the last row can be missing any more.
    settled: bool = False
    #: Digest of the rows that have no place in the order.
    loose: str = ""
    #: Without a watermark: how many pages of this pass were read, and the digests of all pages that are known.
    number: int = 0
    pages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a pass reads, and how it names it."""

    engine: Engine
    keyset: Keyset
    #: Name of the batches, as `table flights`.
    file: str
    batch_rows: int

    def page(
        self, *, start: Value | None, behind: Sequence[Value] | None, top: Value | None
    ) -> tuple[Page, bool]:
        """Return the next page, and whether there are rows behind it."""
        asked = self.keyset.pages(start=start, behind=behind, top=top)
        found = self.engine.read(*asked, limit=self.batch_rows + 1)
        page, more = found.slice(0, self.batch_rows), found.frame.height > self.batch_rows
        if more and behind is not None and self.keyset.write(page.frame, self.batch_rows - 1) == list(behind):
            msg = (
                f"{self.file} cannot be read in order: the database does not find the row {list(behind)} again by its "
                f"values in {', '.join(self.keyset.columns)}. Cast these columns to text in a query."
            )
            raise SourceUnreadable(msg)
        return page, more

    def batch(self, page: Page, place: Place) -> Batch:
        """Return the batch of a page."""
        raw = _cells.raw_of(self.file, page.frame, types=page.types, mixed=page.mixed)
        return Batch(raw=raw, position=msgspec.json.decode(msgspec.json.encode(place)))

    def loose(self, place: Place, *, start: Value | None, top: Value | None) -> tuple[Place, Batch | None]:
        """Return the rows that have no place in the order, as broken ones, unless they are known, and the place after.

        Raises:
            SourceUnreadable: they are more than fit into a batch.
        """
        rows = self.keyset.loose(start=start, top=top)
        if rows is None:
            return place, None
        page = self.engine.read(rows, limit=self.batch_rows + 1)
        if page.frame.height > self.batch_rows:
            names = " or ".join(map(repr, self.keyset.columns))
            msg = f"More than {self.batch_rows} rows of {self.file} have no value in {names}. Choose other columns."
            raise SourceUnreadable(msg)
        digest = digest_of(page.frame) if page.frame.height else ""
        after = msgspec.structs.replace(place, loose=digest)
        if digest in {"", place.loose}:
            return after, None
        batch = self.batch(page, after)
        batch.raw.broken.update(self._without_place(page.frame))
        return after, batch

    def _without_place(self, frame: pl.DataFrame) -> dict[int, str]:
        watermark = self.keyset.watermark
        if watermark is None:
            return {}
        reason = f"{watermark}: has no value, and it is the watermark, which says when a row is new"
        return {int(index) + 1: reason for index in frame[watermark].is_null().arg_true()}


def marked(source: Source, place: Place, *, overlap: Overlap, now: datetime) -> Iterator[Batch]:
    """Read what is new by the watermark; see `Engine.read` for what is raised."""
    top = written(source.engine.read(source.keyset.top()).frame["top"], what=source.file)[0]
    place, loose = source.loose(place, start=place.recheck, top=top)
    if loose is not None:
        yield loose
    if top is None:
        return
    began = _begun(place, top, overlap=overlap, now=now)
    behind = None if place.whole and not place.settled else place.last
    if behind is None and (seen := _unchanged(source, place, began)):
        behind, began = place.last, msgspec.structs.replace(began, seen=seen)
    after = place
    for page, after in _pages(source, began, start=place.recheck, behind=behind):
        yield source.batch(page, after)
    if began.settled and not place.settled and not after.settled:
        # One batch without rows, once: it only says that the next pass need not look again.
        nothing = source.engine.read(source.keyset.rows, limit=0)
        yield source.batch(nothing, msgspec.structs.replace(after, settled=True))


def _begun(place: Place, top: Value, *, overlap: Overlap, now: datetime) -> Place:
    """Return what the places of a pass that begins now have in common; `settled` says what holds at its end."""
    same = place.whole and place.top == top
    since = place.since if same and place.since else now
    recheck, seen = overlap.before(top), Seen()
    if not place.whole and place.recheck is not None:
        # The rest of a pass that was interrupted: what its first half had to look at again is still to be looked at.
        recheck, seen = place.recheck, place.seen
    return msgspec.structs.replace(
        place,
        top=top,
        since=since,
        recheck=recheck,
        seen=seen,
        whole=False,
        settled=same and now - since >= overlap.elapsed,
    )


def _unchanged(source: Source, place: Place, began: Place) -> Seen | None:
    """Look again at the end of the last pass: return what of it the next pass will look at, or None if it is not as it was."""
    known, again = Seen(), Seen()
    if not place.whole or not place.seen.rows:
        return None
    for page, _ in _pages(source, place, start=place.recheck, behind=None):
        known = known.more(page.frame)
        again = again.more(_from(began.recheck, page, source.keyset))
        if known.rows > place.seen.rows:
            return None
    return again if known == place.seen else None


def _pages(
    source: Source, began: Place, *, start: Value | None, behind: Sequence[Value] | None
) -> Iterator[tuple[Page, Place]]:
    """Yield the pages of a pass up to its top, each with the place after it."""
    place, more = msgspec.structs.replace(began, settled=False), True
    while more:
        page, more = source.page(start=start, behind=behind, top=began.top)
        if page.frame.height == 0:
            return
        behind = source.keyset.write(page.frame, page.frame.height - 1)
        place = msgspec.structs.replace(
            place,
            last=tuple(behind),
            whole=not more,
            seen=place.seen.more(_from(began.recheck, page, source.keyset)),
            settled=began.settled and not more,
        )
        yield page, place


def _from(mark: Value | None, page: Page, keyset: Keyset) -> pl.DataFrame:
    """Return the rows of a page whose watermark is not below one; they are its last ones."""
    low: Any = mark
    first = bisect_left(range(page.frame.height), low, key=lambda row: keyset.write(page.frame, row)[0])
    return page.frame.slice(first)


def unmarked(source: Source, place: Place) -> Iterator[Batch]:
    """Read the whole table, or the rest of it, by its key, and return the pages that are not as they were."""
    place, loose = source.loose(place, start=None, top=None)
    if loose is not None:
        yield loose
    behind, number = (None, 0) if place.whole else (place.last, place.number)
    more = True
    while more:
        page, more = source.page(start=None, behind=behind, top=None)
        if page.frame.height == 0:
            return
        behind = tuple(source.keyset.write(page.frame, page.frame.height - 1))
        digest = digest_of(page.frame)
        rest = place.pages[number + 1 :] if more else ()
        number += 1
        if digest in place.pages[number - 1 : number]:
            continue
        pages = (*place.pages[: number - 1], digest, *rest)[:_PAGES_KEPT]
        place = msgspec.structs.replace(place, last=behind, whole=not more, number=number, pages=pages)
        yield source.batch(page, place)
