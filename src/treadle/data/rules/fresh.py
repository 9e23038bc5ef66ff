"""The rule `Fresh`: how old the newest row may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from treadle.core.clock import parse_span, span_text, utc
from treadle.core.errors import InvalidDeclaration
from treadle.data.dataset_rules import Example, Facts, Severity, check_arguments
from treadle.data.types import Kind


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """Demand that the newest row, new or stored, is at most so old, as `2d`, by the dataset's time or another `column`.

    It warns unless told otherwise: to refuse rows never makes a dataset fresher.

    >>> Fresh(within="2d").spec()["severity"]
    'warn'

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    within: str
    column: str | None = None
    severity: Severity = "warn"

    def __post_init__(self) -> None:
        """Check what was declared."""
        parse_span(self.within)
        check_arguments(self)

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "fresh"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that it reads, where it is another than the dataset's time."""
        return (self.column,) if self.column else ()

    @property
    def kinds(self) -> frozenset[Kind]:
        """The types that the column can have."""
        return frozenset({"datetime"})

    @property
    def needs_time(self) -> bool:
        """Whether the dataset must have a time."""
        return self.column is None

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"rule": self.name, "within": self.within, "column": self.column, "severity": self.severity}

    def check(self, new: pl.DataFrame, facts: Facts) -> str | None:
        """Say how old the newest row is."""
        column = self.column or facts.time
        if column is None:
            msg = "Fresh needs the rows' time. Declare the dataset's time=, or the rule's column=."
            raise InvalidDeclaration(msg, field="column")
        newest = self._newest(new, facts, column)
        if newest is None:
            return f"no row has a {column}; expected one of the last {self.within}"
        age = facts.now - newest
        if age <= parse_span(self.within):
            return None
        return f"the newest {column} is {newest:%Y-%m-%d %H:%M}, {span_text(age)} ago; expected at most {self.within}"

    def _newest(self, new: pl.DataFrame, facts: Facts, column: str) -> datetime | None:
        stored = facts.newest
        if column != facts.time:
            found = facts.stored([column]).select(pl.col(column).max()).collect().item()
            stored = found if isinstance(found, datetime) else None
        latest = new[column].max() if new.height else None
        moments = [utc(one) for one in (stored, latest) if isinstance(one, datetime)]
        return max(moments, default=None)

    @classmethod
    def example(cls) -> Example:
        """Return it with rows that keep it and rows that break it."""
        now = datetime(2013, 1, 31, tzinfo=UTC)
        rows = pl.DataFrame({"at": [now - timedelta(days=9), now - timedelta(days=1)]})
        return Example(rule=cls(within="2d"), good=rows, bad=rows.head(1), facts=Facts(now=now, time="at"))
