"""Materialising: brings what is new in a feature view's rows into the online store.

Each run goes on from the dataset version that the one before has finished, which the store itself remembers in the head of
the view's namespace: so a store that was emptied is filled anew, and a killed run is repeated. Every value is put only where
it is not older than the stored one – by view time, then arrival, then landing, as in the join – so repeating changes
nothing and nothing moves back in time. Where rows were taken out of the dataset, everything is written again under a new
generation, which counts before the times, and values of earlier generations are removed at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from treadle.core.errors import StoreUnavailable
from treadle.core.ids import new_id
from treadle.core.records import DatasetVersion
from treadle.features.packing import ARRIVED, TIME, VERSION, micros
from treadle.features.targets import Head, Target
from treadle.features.views import FeatureView

#: The moment from which a row of a view can be seen, in microseconds.
SEEN = "_seen"
_BATCH = 100_000
#: Rows that are held at once, so that an entity of which many rows come is written once.
_HELD = 500_000
#: Rows that are packed at once, as packed rows take several times the memory.
_PACKED = 50_000


class ViewRows(Protocol):
    """Where views' rows are: datasets of the views' names (`data.datasets.Datasets`)."""

    def version(self, name: str, version: int | None = None) -> DatasetVersion:
        """Return one version, the newest by default; `NotFound` where there is none."""
        ...

    def versions(self, name: str) -> list[DatasetVersion]:
        """Return every version, oldest first."""
        ...

    def scan(
        self, name: str, *, version: int | None = None, columns: Sequence[str] | None = None
    ) -> pl.LazyFrame:
        """Return rows to be read when they are needed, in the order in which they landed."""
        ...


@dataclass(frozen=True)
class Task:
    """What a run has to do."""

    view: FeatureView
    rows: ViewRows
    #: The dataset version to be written, and the moment up to which, in microseconds.
    version: int
    limit: int
    #: What is there already.
    before: Head

    def scan(self, columns: Iterable[str]) -> pl.LazyFrame:
        """Return the rows that have entity and moments, with view time, arrival and version in columns of their own."""
        view = self.view
        moments = [view.time, *([view.arrived] if view.arrived else [])]
        wanted = list(dict.fromkeys([*view.entities, *moments, *columns, VERSION]))
        found = self.rows.scan(view.name, version=self.version, columns=wanted)
        time, arrived = (pl.col(name).dt.epoch("us") for name in (moments[0], moments[-1]))
        return found.drop_nulls([*view.entities, *moments]).with_columns(
            time.alias(TIME), arrived.alias(ARRIVED), pl.max_horizontal(time, arrived).alias(SEEN)
        )

    def fresh(self) -> pl.Expr:
        """Return which rows may not be in the store yet."""
        if not self.before.version:
            return pl.lit(value=True)
        landed = pl.col(VERSION) > self.before.version
        return landed | (pl.col(SEEN) > self.before.until) if self.before.is_due(self.limit) else landed


@dataclass
class Tally:
    """What a run has seen."""

    #: Values that were written.
    written: int = 0
    #: The latest view time, and the earliest moment at which more can be seen, in microseconds.
    newest: int | None = None
    waiting: int | None = None

    def look(self, rows: pl.LazyFrame, task: Task) -> None:
        """Note what can be seen of some rows, and when more of them can."""
        is_visible = pl.col(SEEN) <= task.limit
        newest, waiting = (
            rows.select(pl.col(TIME).filter(is_visible).max(), pl.col(SEEN).filter(~is_visible).min())
            .collect()
            .row(0)
        )
        self.see(newest)
        self.expect(waiting)

    def see(self, newest: int | None) -> None:
        """Note a view time."""
        self.newest = max((one for one in (self.newest, newest) if one is not None), default=None)

    def expect(self, waiting: int | None) -> None:
        """Note a moment at which more can be seen."""
        self.waiting = min((one for one in (self.waiting, waiting) if one is not None), default=None)


#: Writes what a task asks for under a head, and tallies.
Writer = Callable[[Task, Target, Head, Tally], None]


def is_shrunk(versions: Iterable[DatasetVersion], *, since: int, until: int) -> bool:
    """Say whether a version after one and up to another took rows out or back, so that an older value may hold again."""
    return any(one.deleted or one.removed or one.why for one in versions if since < one.version <= until)


def materialise(task: Task, target: Target, *, write: Writer, at: datetime, again: bool) -> tuple[Head, int]:
    """Write what a task asks for; return the new head, and how many values were written.

    With `again` everything is written anew. The caller holds the view's lease.

    Raises:
        Conflict: another process writes now, or the store was emptied meanwhile; to be repeated.
        StoreUnavailable: rows cannot be read, or the store does not answer.
    """
    before, renew = task.before, again or task.before.renewing
    head = msgspec.structs.replace(
        before, writer=new_id(), generation=before.generation + int(renew), renewing=renew
    )
    target.note(head)
    tally = Tally()
    if renew:
        task = Task(view=task.view, rows=task.rows, version=task.version, limit=task.limit, before=Head())
    else:
        tally.see(before.newest)
        tally.expect(None if before.is_due(task.limit) else before.waiting)
    write(task, target, head, tally)
    if renew:
        target.remove_older(head)
    after = Head(
        writer=head.writer,
        generation=head.generation,
        version=task.version,
        until=task.limit,
        waiting=tally.waiting,
        newest=tally.newest,
        at=micros(at),
    )
    return target.note(after, was=head), tally.written


def write_fields(task: Task, target: Target, head: Head, tally: Tally) -> None:
    """Write the newest fields of each entity of which a row is fresh."""
    rows = task.scan(task.view.source_names).filter(task.fresh())
    # The order of landing decides between rows of one moment and version; keeping it needs memory for all of them.
    for newest in _newest_each(task.view, _visible(rows, task, tally, ordered=bool(task.view.events))):
        for batch in newest.iter_slices(_PACKED):
            tally.written += target.put(batch, head)


@contextmanager
def reading(view: FeatureView) -> Iterator[None]:
    """Give the words of this package to what goes wrong when rows are read.

    Raises:
        StoreUnavailable: they cannot be.
    """
    try:
        yield
    except (PolarsError, OSError) as error:
        msg = f"The rows of feature view {view.name!r} cannot be read: {error}. See to the tables store (treadle check)."
        raise StoreUnavailable(msg) from error


def _visible(rows: pl.LazyFrame, task: Task, tally: Tally, *, ordered: bool) -> Iterator[pl.DataFrame]:
    """Yield the rows that can be seen at the limit, in batches, and tally when the first of the others can."""
    batches = iter(rows.collect_batches(chunk_size=_BATCH, maintain_order=ordered))
    while True:
        with reading(task.view):
            batch = next(batches, None)
        if batch is None:
            return
        tally.look(batch.lazy(), task)
        visible = batch.filter(pl.col(SEEN) <= task.limit)
        if visible.height:
            yield visible


def _newest_each(view: FeatureView, batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield rows in batches of bounded size, in each of which an entity has its newest row only."""
    held: list[pl.DataFrame] = []
    for batch in batches:
        held.append(batch)
        if sum(frame.height for frame in held) < _HELD:
            continue
        newest = _newest(view, pl.concat(held))
        if newest.height > _HELD // 2:
            yield newest
            held = []
        else:
            held = [newest]
    if held:
        yield _newest(view, pl.concat(held))


def _newest(view: FeatureView, rows: pl.DataFrame) -> pl.DataFrame:
    entities = list(view.entities)
    order = rows.select(*entities, TIME, ARRIVED, VERSION).with_row_index("_at")
    ordered = order.sort(TIME, ARRIVED, VERSION, maintain_order=True)
    return rows[ordered.unique(entities, keep="last", maintain_order=True)["_at"]]
