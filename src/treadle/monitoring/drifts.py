"""What comparisons came to, kept as rows of a table: one for each test, so that they can be drawn over time."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec
import polars as pl

from treadle.core.clock import Clock
from treadle.core.errors import NotFound
from treadle.core.ids import new_id
from treadle.monitoring.drift import Drift, Finding
from treadle.monitoring.estimation import Estimate
from treadle.store.tables.tables import Tables

#: The columns of a table `drift/<model>`.
COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "version": pl.String(),
    "source": pl.String(),
    "start": pl.Datetime("us", "UTC"),
    "end": pl.Datetime("us", "UTC"),
    "rows": pl.Int64(),
    "reference_rows": pl.Int64(),
    "rate": pl.Float64(),
    #: The comparison's notes, a line each.
    "notes": pl.String(),
    #: What was estimated of its answers, as JSON.
    "estimates": pl.String(),
    #: Place among the comparison's findings.
    "place": pl.Int64(),
    "role": pl.String(),
    "column": pl.String(),
    "detector": pl.String(),
    "p": pl.Float64(),
    "corrected": pl.Float64(),
    "effect": pl.Float64(),
    "floor": pl.Float64(),
    "least": pl.Float64(),
    "drifted": pl.Boolean(),
    "text": pl.String(),
    "importance": pl.Float64(),
    "since": pl.Datetime("us", "UTC"),
    "slice": pl.String(),
}
_OWN = ("role", "column", "detector", "p", "corrected", "effect", "floor", "least", "drifted", "text")
#: The part of an id that sorts by when it was made.
_MADE = pl.col("id").str.split("_").list.last()
#: How long comparisons are kept, and how often those that are older are looked for.
KEPT, _LOOKS = timedelta(days=400), 50


class Drifts:
    """The comparisons of all models.

    >>> drifts.keep("delay", found)               # doctest: +SKIP
    >>> drifts.latest("delay").text               # doctest: +SKIP
    'Nothing has changed in 2,000 rows of endpoint:delay against delay/3 (42 tests).'
    """

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables, self._clock = tables, clock
        self._kept: Counter[str] = Counter()

    def keep(self, model: str, found: Drift, *, question: str = "") -> str:
        """Keep a comparison and return its id, which begins with what was asked; those older than 400 days go now and then."""
        made, name = new_id(_asked(question)), _name(model)
        self._tables.deliver(name, _frame(made, found), sender=made, number=1)
        self._kept[model] += 1
        if (self._tables.version(name) or 0) % _LOOKS == _LOOKS - 1:
            self._tables.expire(name, column="at", before=self._clock.now() - KEPT)
        return made

    def kept(self, model: str) -> int:
        """Return how many comparisons of a model this process has kept; nothing is read."""
        return self._kept[model]

    def scan(self, model: str) -> pl.LazyFrame:
        """Return a row for each test of each comparison of a model, with `COLUMNS`; empty: there are none."""
        frames = [pl.LazyFrame(schema=COLUMNS)]
        with suppress(NotFound):
            frames.append(self._tables.scan(_name(model)))
        return pl.concat(frames, how="diagonal")

    def latest(self, model: str, *, version: str = "", source: str = "", question: str = "") -> Drift | None:
        """Return the newest comparison, of a version (as `delay/3`), a source and a question where these are given; None: there is none."""
        rows = self.scan(model)
        if version:
            rows = rows.filter(pl.col("version") == version)
        if source:
            rows = rows.filter(pl.col("source") == source)
        if question:
            rows = rows.filter(pl.col("id").str.starts_with(f"{_asked(question)}_"))
        newest = rows.filter(pl.col("at") == pl.col("at").max()).collect()
        if newest.is_empty():
            return None
        last = newest.select(pl.col("id").sort_by(_MADE).last()).item()
        return _drift(newest.filter(pl.col("id") == last).sort("place"))

    def history(self, model: str, *, since: datetime | None = None) -> pl.DataFrame:
        """Return the comparisons, the oldest first: `at`, `version`, `source`, `rows`, `tests`, `drifted`, `columns`."""
        rows = self.scan(model) if since is None else self.scan(model).filter(pl.col("at") >= since)
        return (
            rows.group_by("id", "at", "version", "source", "rows")
            .agg(
                pl.len().alias("tests"),
                pl.col("drifted").sum(),
                pl.col("column").filter("drifted").unique(maintain_order=True).alias("columns"),
            )
            .sort("at", _MADE)
            .drop("id")
            .collect()
        )


def _asked(question: str) -> str:
    return f"drift_{question}" if question else "drift"


def _name(model: str) -> str:
    return f"drift/{model}"


def _frame(made: str, found: Drift) -> pl.DataFrame:
    """Return a comparison's rows; one without a test has one row, whose detector is empty."""
    nothing = Finding(
        role="",
        column="",
        detector="",
        p=1.0,
        corrected=1.0,
        effect=0.0,
        floor=0.0,
        least=0.0,
        drifted=False,
        text="",
    )
    head = (
        made,
        found.at,
        found.version,
        found.source,
        found.start,
        found.end,
        found.rows,
        found.reference_rows,
        found.rate,
    )
    rows = [
        (
            *head,
            "\n".join(found.notes),
            msgspec.json.encode(found.estimates).decode(),
            place,
            *(getattr(one, name) for name in _OWN),
            one.importance,
            one.since,
            one.slice,
        )
        for place, one in enumerate(found.findings or (nothing,))
    ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def _drift(rows: pl.DataFrame) -> Drift:
    first = rows.row(0, named=True)
    findings = tuple(
        Finding(
            **{name: row[name] for name in _OWN},
            importance=row["importance"],
            since=row["since"],
            slice=row["slice"],
        )
        for row in rows.iter_rows(named=True)
        if row["detector"]
    )
    return Drift(
        **{
            name: first[name]
            for name in ("version", "source", "at", "start", "end", "rows", "reference_rows", "rate")
        },
        findings=findings,
        notes=tuple(first["notes"].splitlines()),
        estimates=msgspec.json.decode(first["estimates"], type=tuple[Estimate, ...]),
    )
