"""The rule `Refers`: values that must occur in another dataset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from treadle.data.dataset_rules import Example, Facts, Severity, check_arguments, is_name, is_share
from treadle.data.quarantine import as_text

_LISTED = 5


@dataclass(frozen=True)
class Refers:
    """Demand that the values of a column occur in a column of another dataset, as `to="airports.code"`.

    Missing values are passed over. `at_most` is the share of new rows, 0 to 1, that may refer to nothing.

    >>> Refers("origin", to="airports.code").dataset
    'airports'

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    column: str
    to: str
    at_most: float = 0.0
    severity: Severity = "stop"

    def __post_init__(self) -> None:
        """Check what was declared."""
        points = is_name(self.to) and all(self.to.partition(".")[::2])
        check_arguments(
            self,
            column=(self.column, is_name(self.column), "the name of a column"),
            to=(self.to, points, "a dataset and its column, as 'airports.code'"),
            at_most=(self.at_most, is_share(self.at_most), "a share, 0 to 1"),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "refers"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column that it reads."""
        return (self.column,)

    @property
    def dataset(self) -> str:
        """The other dataset, which must be ingested before."""
        return self.to.partition(".")[0]

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "rule": self.name,
            "column": self.column,
            "to": self.to,
            "at_most": float(self.at_most),
            "severity": self.severity,
        }

    def check(self, new: pl.DataFrame, facts: Facts) -> str | None:
        """Say which values occur nowhere."""
        values = new.select(value=self.column).drop_nulls()
        if values.is_empty():
            return None
        there = facts.lookup(self.dataset, self.to.partition(".")[2]).alias("value")
        if there.dtype != values["value"].dtype:
            if not there.is_empty():
                return f"{self.column} is {values['value'].dtype} and {self.to} is {there.dtype}, so no value can be found there"
            there = there.cast(values["value"].dtype)
        lost = values.join(there.unique().to_frame(), on="value", how="anti", maintain_order="left")
        if lost.height <= self.at_most * new.height:
            return None
        names = lost["value"].unique(maintain_order=True)
        shown = ", ".join(as_text(names.head(_LISTED))) + (", …" if len(names) > _LISTED else "")
        share = f"at most {self.at_most:.2%}" if self.at_most else "none"
        return f"{self.column} of {lost.height:,} of {new.height:,} new rows is not in {self.to} ({shown}); expected {share}"

    @classmethod
    def example(cls) -> Example:
        """Return it with rows that keep it and rows that break it."""
        airports = {("airports", "code"): pl.Series(["EWR", "JFK"])}
        facts = Facts(
            now=datetime(2013, 1, 31, tzinfo=UTC), lookup=lambda dataset, column: airports[dataset, column]
        )
        good, bad = pl.DataFrame({"origin": ["EWR", None]}), pl.DataFrame({"origin": ["EWR", "ZZZ"]})
        return Example(rule=cls("origin", to="airports.code"), good=good, bad=bad, facts=facts)
