"""The rule `Rows`: how many new rows there must be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from treadle.data.dataset_rules import Example, Facts, Severity, check_arguments


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Demand at least, or at most, so many new rows in each ingestion that brings any.

    >>> Rows(at_least=1_000).check(pl.DataFrame({"n": [1, 2]}), Facts(now=datetime.now(UTC)))
    '2 new rows came; expected at least 1,000'

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    at_least: int | None = None
    at_most: int | None = None
    severity: Severity = "stop"

    def __post_init__(self) -> None:
        """Check what was declared."""
        least, most = self.at_least, self.at_most
        check_arguments(
            self,
            at_least=(
                least,
                _is_count(least) and (least, most) != (None, None),
                "a number of rows, or at_most=",
            ),
            at_most=(
                most,
                _is_count(most) and (least is None or most is None or least <= most),
                "a number of rows that is not below at_least",
            ),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "rows"

    @property
    def columns(self) -> tuple[str, ...]:
        """It reads no column."""
        return ()

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "rule": self.name,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "severity": self.severity,
        }

    def check(self, new: pl.DataFrame, facts: Facts) -> str | None:  # noqa: ARG002 - all rules are called alike
        """Say that there are too few or too many."""
        if self.at_least is not None and new.height < self.at_least:
            return f"{new.height:,} new rows came; expected at least {self.at_least:,}"
        if self.at_most is not None and new.height > self.at_most:
            return f"{new.height:,} new rows came; expected at most {self.at_most:,}"
        return None

    @classmethod
    def example(cls) -> Example:
        """Return it with rows that keep it and rows that break it."""
        rows = pl.DataFrame({"n": [1, 2, 3]})
        facts = Facts(now=datetime(2013, 1, 31, tzinfo=UTC))
        return Example(rule=cls(at_least=2), good=rows, bad=rows.head(1), facts=facts)


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
