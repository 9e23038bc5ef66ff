"""The rule `Unique`: columns whose values no two rows share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from treadle.data.dataset_rules import Example, Facts, Severity, check_arguments, is_name
from treadle.data.quarantine import as_text


@dataclass(frozen=True, init=False)
class Unique:
    """Demand that no new row has the same values in some columns as another new row or a stored one.

    Counted are the rows too many: of three alike, two. Rows that lack one of the values are passed over, as in SQL. (The
    dataset's key is unique without a rule.)

    >>> Unique("tailnum", "day").columns
    ('tailnum', 'day')

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    columns: tuple[str, ...]
    severity: Severity

    def __init__(self, *columns: str, severity: Severity = "stop") -> None:
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "severity", severity)
        named = bool(columns) and all(map(is_name, columns)) and len(set(columns)) == len(columns)
        check_arguments(self, columns=(columns, named, "names of columns, each once"))

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "unique"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"rule": self.name, "columns": list(self.columns), "severity": self.severity}

    def check(self, new: pl.DataFrame, facts: Facts) -> str | None:
        """Say how many rows have values that another one has."""
        names = list(self.columns)
        whole = new.select(names).drop_nulls()
        if whole.is_empty():
            return None
        stored = facts.stored(names).select(names).cast(whole.schema)
        is_first = whole.select(pl.struct(names).is_first_distinct()).to_series()
        first, surplus = whole.filter(is_first), whole.filter(~is_first)
        known = stored.join(first.lazy(), on=names, how="semi").unique().collect(engine="streaming")
        again = first.join(known, on=names, how="semi", maintain_order="left")
        too_many = surplus.height + again.height
        if not too_many:
            return None
        shown = pl.concat([again.head(1), surplus.head(1)]).head(1)
        values = ", ".join(f"{name}={as_text(shown[name])[0]}" for name in names)
        return f"{too_many:,} of {new.height:,} new rows repeat the {', '.join(names)} of another row, as {values}; expected none"

    @classmethod
    def example(cls) -> Example:
        """Return it with rows that keep it and rows that break it."""
        good = pl.DataFrame({"plane": ["N1", "N1", "N2", None, None], "day": [1, 2, 1, 1, 1]})
        facts = Facts(now=datetime(2013, 1, 31, tzinfo=UTC))
        return Example(rule=cls("plane", "day"), good=good, bad=pl.concat([good, good.head(1)]), facts=facts)
