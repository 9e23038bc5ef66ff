"""The rule `Nulls`: the share of new rows that may lack a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from treadle.data.dataset_rules import Example, Facts, Severity, check_arguments, is_name, is_share


@dataclass(frozen=True)
class Nulls:
    """Demand that at most this share of the new rows, 0 to 1, has no value in a column.

    >>> Nulls("tailnum", at_most=0.05).columns
    ('tailnum',)

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    column: str
    at_most: float
    severity: Severity = "stop"

    def __post_init__(self) -> None:
        """Check what was declared."""
        check_arguments(
            self,
            column=(self.column, is_name(self.column), "the name of a column"),
            at_most=(self.at_most, is_share(self.at_most), "a share, 0 to 1"),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "nulls"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that it reads."""
        return (self.column,)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "rule": self.name,
            "column": self.column,
            "at_most": float(self.at_most),
            "severity": self.severity,
        }

    def check(self, new: pl.DataFrame, facts: Facts) -> str | None:  # noqa: ARG002 - all rules are called alike
        """Say how many rows have no value."""
        nulls = new[self.column].null_count()
        if nulls <= self.at_most * new.height:
            return None
        share = nulls / new.height
        return f"{self.column} has no value in {nulls:,} of {new.height:,} new rows ({share:.2%}); expected at most {self.at_most:.2%}"

    @classmethod
    def example(cls) -> Example:
        """Return it with rows that keep it and rows that break it."""
        good, bad = pl.DataFrame({"x": [1, None, 3, 4]}), pl.DataFrame({"x": [1, None, None, 4]})
        facts = Facts(now=datetime(2013, 1, 31, tzinfo=UTC))
        return Example(rule=cls("x", at_most=0.25), good=good, bad=bad, facts=facts)
