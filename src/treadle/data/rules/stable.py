"""The rule `Stable`: how far the distribution of a column may move from that of the last version."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from treadle.data.dataset_rules import Example, Facts, Severity, check_arguments, is_name, is_share
from treadle.data.summaries import (
    POINTS,
    TOP,
    ColumnSummary,
    category_distance,
    cumulative_distance,
    summarise,
)
from treadle.data.types import Kind

_KINDS: frozenset[Kind] = frozenset({"int", "float", "bool", "str"})


@dataclass(frozen=True)
class Stable:
    """Demand that the new rows' values are distributed as in the last version, but for `within`, a share of the rows.

    Distances are shares, 0 to 1: for numbers the largest difference of cumulative shares (Kolmogorov-Smirnov), for text and
    booleans the share of rows that would need another value (total variation), and for both the change in the share of
    missing values. A distance counts only as far as it is not chance: with few rows a rule is slow to judge, and where
    nothing has changed it is broken in less than `alpha` of all ingestions. The first version has nothing to be compared with.

    >>> Stable("distance", within=0.2).remembers
    ('distance',)

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    column: str
    within: float
    alpha: float = 0.001
    severity: Severity = "stop"

    def __post_init__(self) -> None:
        """Check what was declared."""
        check_arguments(
            self,
            column=(self.column, is_name(self.column), "the name of a column"),
            within=(self.within, is_share(self.within) and self.within < 1, "a share, 0 to 1, as 0.2"),
            alpha=(self.alpha, is_share(self.alpha) and 0 < self.alpha < 1, "between 0 and 1, as 0.001"),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "stable"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that it reads."""
        return (self.column,)

    @property
    def remembers(self) -> tuple[str, ...]:
        """The column whose distribution must be kept."""
        return (self.column,)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The types that the column can have."""
        return _KINDS

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "rule": self.name,
            "column": self.column,
            "within": float(self.within),
            "alpha": float(self.alpha),
            "severity": self.severity,
        }

    def check(self, new: pl.DataFrame, facts: Facts) -> str | None:
        """Say how far the values, or the missing ones, have moved."""
        before = facts.previous.column(self.column) if facts.previous else None
        after = summarise(new, self.columns).column(self.column)
        if before is None or after is None or not before.rows or not after.rows:
            return None
        return self._of_missing(before, after) or self._of_values(before, after)

    def _of_missing(self, before: ColumnSummary, after: ColumnSummary) -> str | None:
        moved = abs(after.missing_share - before.missing_share)
        chance = self._chance(before.rows) + self._chance(after.rows)
        if moved <= self.within + chance:
            return None
        return (
            f"{self.column} has no value in {after.missing_share:.1%} of the new rows, and in {before.missing_share:.1%} of the "
            f"last version; expected a change of at most {self.within:.1%} (and {chance:.1%} by chance)"
        )

    def _of_values(self, before: ColumnSummary, after: ColumnSummary) -> str | None:
        if not before.known or not after.known:
            return None
        chance = self._chance(before.known) + self._chance(after.known)
        if before.points or after.points:
            # Either column is exact to two points only.
            chance += 4 / POINTS if max(len(before.points), len(after.points)) == POINTS else 0.0
            moved = cumulative_distance(before, after)
        else:
            chance += _spread(before) + _spread(after)
            moved = category_distance(before, after)
        if moved <= self.within + chance:
            return None
        return (
            f"the distribution of {self.column} is {moved:.1%} away from that of the last version; expected at most "
            f"{self.within:.1%} (and {chance:.1%} by chance){_change(before, after)}"
        )

    def _chance(self, rows: int) -> float:
        """Return how far a share of so many rows strays from the truth, but for alpha / 4 (Hoeffding; Massart 1990)."""
        return math.sqrt(math.log(8 / self.alpha) / (2 * rows))

    @classmethod
    def example(cls) -> Example:
        """Return it with rows that keep it and rows that break it."""
        before = pl.DataFrame({"x": range(10_000)})
        facts = Facts(now=datetime(2013, 1, 31, tzinfo=UTC), previous=summarise(before, ["x"]))
        good, bad = before.gather_every(5), before.tail(2_000)
        return Example(rule=cls("x", within=0.2), good=good, bad=bad, facts=facts)


def _spread(column: ColumnSummary) -> float:
    """Return how far the shares of several values stray together on average (Cauchy-Schwarz), at most."""
    values = min(len(column.top) + bool(column.others), TOP + 1)
    return math.sqrt(max(values - 1, 0) / column.known) / 2


def _change(before: ColumnSummary, after: ColumnSummary) -> str:
    """Return in words what changed most: the mean, or the share of a value."""
    if before.points and after.points:
        return f". The mean was {before.mean:g} and is {after.mean:g}"
    was, now = dict(before.top), dict(after.top)
    moved = {
        value: (was.get(value, 0) / before.known, now.get(value, 0) / after.known)
        for value in was.keys() | now.keys()
    }
    value, (first, second) = max(moved.items(), key=lambda one: (abs(one[1][1] - one[1][0]), one[0]))
    return f". {value!r} was {first:.1%} and is {second:.1%}"
