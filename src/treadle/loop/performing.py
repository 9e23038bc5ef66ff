"""How good an endpoint's answers were, kept by stretch of time: only what came since the last look is read.

A metric that is made of means over rows is kept as sums by day, to which new rows, late outcomes and corrections are added. Of any
other, as an area under a curve, each stretch is kept as it came out, and read whole again where something in it is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from treadle.core.ids import digest_of
from treadle.core.records import ModelVersion
from treadle.loop import live, scoring
from treadle.loop.matching import PIECE, Matching, Moment
from treadle.loop.rooms import Rooms
from treadle.loop.scoring import Scoring
from treadle.monitoring import performance
from treadle.monitoring.moments import ASKED, Makeup, N
from treadle.monitoring.views import START, Kept, Mark, Views

#: Changed rows over which everything is read anew, piece by piece, and groups of a stretch over which nothing is kept.
_MOST, _MOST_GROUPS = 2 * PIECE, 20_000
_TRIES = 5
_FIRST = {START: pl.Datetime("us", "UTC"), "model": pl.String(), "version": pl.Int64()}
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question about the answers of an endpoint."""

    endpoint: str
    #: The version whose task says how answers are scored.
    version: ModelVersion
    metric: str = ""
    every: str = "1w"
    by: tuple[str, ...] = ()


class Performing:
    """Answers questions about the answers of endpoints.

    >>> Performing(rooms).scores(Asked(endpoint="delay", version=version))  # doctest: +SKIP
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms, self._views = rooms, Views(rooms.ledger, rooms.clock)

    def scores(self, asked: Asked) -> pl.DataFrame:
        """Return a metric by stretch of time, model, version and `by`, as `performance.performance` does, and `asked`.

        Raises:
            InvalidInput: the metric is not for this task, or there is no such stretch or input.
        """
        live.check_dividing(asked.by, asked.version.signature)
        performance.start_of("at", asked.every)
        question = scoring.of(self._rooms, asked.version, asked.metric)
        found, makeup = self._parts(asked, question, Matching(self._rooms, asked.endpoint, by=asked.by))
        by = [f"by{place}" for place in range(len(asked.by))]
        if makeup is not None:
            found = _scored(found, makeup, asked.every, by)
        known = found.filter(pl.col(N) > 0).sort(START, "model", "version", *by)
        names = dict(zip(by, asked.by, strict=True))
        return (
            known.select(
                START,
                "model",
                "version",
                *by,
                pl.lit(question.name).alias("metric"),
                N,
                "value",
                "low",
                "high",
                ASKED,
            )
            .rename(names)
            .cast({"revision": pl.Int64()} if "revision" in asked.by else {})
        )

    def over(self, asked: Asked, since: datetime, until: datetime) -> tuple[pl.DataFrame, Makeup] | None:
        """Return the sums, by model and version, over the answers from a moment to before another; None: the metric has none.

        Whole days are those that are kept; only the days at both ends are read again.

        Raises:
            InvalidInput: the metric is not for this task.
        """
        question = scoring.of(self._rooms, asked.version, asked.metric)
        matching = Matching(self._rooms, asked.endpoint)
        found, makeup = self._parts(asked, question, matching)
        if makeup is None:
            return None
        first, last = _day_after(since), until.replace(hour=0, minute=0, second=0, microsecond=0)
        ends = [(since, min(first, until)), (max(last, first), until)]
        by = ["model", "version"]
        edges = [
            makeup.summed(question.terms(matching.beside(rows, matching.newest), makeup), by)
            for start, end in ends
            if start < end and (rows := matching.within(start, end, matching.newest)).height
        ]
        whole = found.filter((pl.col(START) >= first) & (pl.col(START) < last)).drop(START)
        empty = makeup.nothing({name: _FIRST[name] for name in by})
        return makeup.added(
            [empty, whole.select(empty.columns), *(e.select(empty.columns) for e in edges)], by
        ), makeup

    def _parts(
        self, asked: Asked, question: Scoring, matching: Matching
    ) -> tuple[pl.DataFrame, Makeup | None]:
        """Return what is kept of a question once all that is new is taken in: sums by day, or finished stretches."""
        grain = ("1h" if asked.every == "1h" else "1d") if question.is_summed else asked.every
        work = _Work(question, matching, grain)
        view = digest_of([asked.endpoint, question.text, grain, *asked.by])
        for left in reversed(range(_TRIES)):
            kept = self._views.read(view, work.schema) if question.text else None
            parts, mark, touched = work.refreshed(kept)
            is_new = kept is None or mark != kept.mark
            fits = question.text and work.fits(parts)
            if not (is_new and fits) or self._views.write(
                view,
                asked.endpoint,
                mark=mark,
                parts=parts,
                touched=touched,
                expected=None if kept is None else kept.mark.change,
            ):
                return work.completed(parts, mark)
            if left:
                matching = Matching(self._rooms, asked.endpoint, by=asked.by)
                work = _Work(question, matching, grain)
        return work.completed(parts, mark)


class _Work:
    """What has to be read for one question at one moment."""

    def __init__(self, question: Scoring, matching: Matching, grain: str) -> None:
        self._question, self._matching, self._grain = question, matching, grain
        self._by = [START, "model", "version", *matching.by]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns that are kept, beside the start."""
        groups = {**_FIRST, **dict.fromkeys(self._matching.by, pl.String())}
        del groups[START]
        if self._question.is_summed:
            return {**groups, **self._question.makeup(()).columns}
        return {
            **groups,
            N: pl.Int64(),
            ASKED: pl.Int64(),
            **dict.fromkeys(("value", "low", "high"), pl.Float64()),
        }

    def refreshed(self, kept: Kept | None) -> tuple[pl.DataFrame, Mark, pl.Series | None]:
        """Return what is in tables by now, how far that goes, and which stretches were touched (None: all)."""
        matching = self._matching
        if kept is not None and matching.follows(kept.mark):
            now = matching.mark(kept.mark.change, kept.mark.center)
            if now == kept.mark:
                return kept.parts, now, None
            before = Moment(kept.mark.predictions, kept.mark.outcomes, kept.mark.landed)
            step = self._stepped(kept.parts, before, matching.shipped, kept.mark.center)
            if step is not None:
                return step[0], matching.mark(kept.mark.change + 1, kept.mark.center), step[1]
        parts, center = self._whole(matching.shipped)
        return parts, matching.mark(0 if kept is None else kept.mark.change + 1, center), None

    def completed(self, parts: pl.DataFrame, mark: Mark) -> tuple[pl.DataFrame, Makeup | None]:
        """Return the same with what has not been shipped yet; that is not kept."""
        matching = self._matching
        if matching.newest != matching.shipped:
            step = self._stepped(parts, matching.shipped, matching.newest, mark.center)
            parts = self._whole(matching.newest)[0] if step is None else step[0]
        return parts, self._question.makeup(mark.center) if self._question.is_summed else None

    def fits(self, parts: pl.DataFrame) -> bool:
        """Return whether these can be kept: there are not too many, and all are finite."""
        numbers = parts.select(pl.col(pl.Float64).is_infinite().any() | pl.col(pl.Float64).is_nan().any())
        finite = not any(numbers.row(0)) if numbers.width else True
        widest = parts[START].value_counts()["count"].to_list() if parts.height else []
        return finite and max(widest, default=0) <= _MOST_GROUPS

    def _stepped(
        self, parts: pl.DataFrame, before: Moment, after: Moment, center: tuple[float, ...]
    ) -> tuple[pl.DataFrame, pl.Series] | None:
        """Return what is known after a moment from what was known before, and which stretches that touches; None: read all anew."""
        rows = self._matching.changed(before, after)
        if rows is None or rows.height > _MOST:
            return None
        touched = rows.select(self._start()).to_series().unique()
        if not self._question.is_summed:
            left = parts.filter(~pl.col(START).is_in(touched.implode(), nulls_equal=True))
            return pl.concat([left, *(self._finished(at, after) for at in touched.sort())]), touched
        makeup = self._question.makeup(center)
        old = rows.filter(pl.col("_commit") <= before.predictions)
        added = self._sums(self._matching.beside(rows, after, dense=False), makeup)
        gone = makeup.without(self._sums(self._matching.beside(old, before, dense=False), makeup))
        return makeup.added([parts, added, gone], self._by), touched

    def _whole(self, moment: Moment) -> tuple[pl.DataFrame, tuple[float, ...]]:
        """Return everything, read piece by piece, and what is taken from each term."""
        empty = pl.DataFrame(schema={START: _FIRST[START], **self.schema})
        if not self._question.is_summed:
            starts = self._matching.hours(self._grain)[START] if self._grain != "all" else pl.Series([None])
            return pl.concat([empty, *(self._finished(at, moment) for at in starts)]), ()
        found, makeup = [empty], None
        for start, end in self._pieces():
            joined = self._matching.beside(self._matching.within(start, end, moment), moment)
            if makeup is None:
                makeup = self._question.makeup(self._question.center(joined))
            found.append(self._sums(joined, makeup))
        if makeup is None:
            return empty, self._question.center(None)
        return makeup.added(found, self._by), makeup.center

    def _pieces(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield stretches of hours that hold about so many rows together as are read at once."""
        first, end, rows = None, None, 0
        for start, count in self._matching.hours("1h").iter_rows():
            if first is not None and end is not None and rows + count > PIECE:
                yield first, end
                first, rows = None, 0
            first, end, rows = first or start, start + timedelta(hours=1), rows + count
        if first is not None and end is not None:
            yield first, end

    def _finished(self, start: datetime | None, moment: Moment) -> pl.DataFrame:
        """Return the metric of one stretch, read whole."""
        end = None if start is None else pl.select(pl.lit(start).dt.offset_by(self._grain)).item()
        rows = self._matching.within(start, end, moment)
        joined = self._matching.beside(rows, moment).with_columns(self._start())
        found = self._question.finished(joined, self._by)
        return found.join(
            joined.group_by(self._by).agg(pl.len().cast(pl.Int64).alias(ASKED)),
            on=self._by,
            how="left",
            nulls_equal=True,
        ).select(START, *self.schema)

    def _sums(self, joined: pl.DataFrame, makeup: Makeup) -> pl.DataFrame:
        rows = self._question.terms(joined.with_columns(self._start()), makeup)
        return makeup.summed(rows, self._by).select(START, *self.schema)

    def _start(self) -> pl.Expr:
        return performance.start_of("at", self._grain).cast(_FIRST[START]).alias(START)


def _scored(sums: pl.DataFrame, makeup: Makeup, every: str, by: Sequence[str]) -> pl.DataFrame:
    """Return the metric with its interval by longer stretches than those that are kept."""
    keys = [START, "model", "version", *by]
    longer = sums.with_columns(performance.start_of(START, every).cast(_FIRST[START]).alias(START))
    whole = makeup.added([longer], keys)
    low, high = makeup.intervals(whole)
    columns = {"value": makeup.values(whole), "low": low, "high": high}
    numbers = [pl.Series(name, values, dtype=pl.Float64) for name, values in columns.items()]
    finite = pl.when(pl.col(list(columns)).is_finite()).then(pl.col(list(columns)))
    return whole.with_columns(numbers).with_columns(finite)


def _day_after(moment: datetime) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if day == moment else day + _DAY
