"""How much better or worse a challenger's answers were: differences of means with bounds that hold at every look.

Answers of one subject are alike, so a subject is one unit, and a request without one is, too. Where the two sides
answered different subjects, each row weighs as one over the chance with which its side was chosen, so that steps with
different shares, and times of day, may be put together. Where a shadow was asked as well, the same rows are compared.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from treadle.core.contrast import contrast
from treadle.core.sequential import mean_radius
from treadle.serving.guard import CHALLENGER, PRIMARY

if TYPE_CHECKING:
    import polars as pl


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A difference, challenger minus first variant."""

    difference: float
    low: float
    high: float
    challenger: float
    primary: float
    #: Units of the challenger.
    n: int
    #: `paired` or `apart`.
    how: str

    def told(self) -> str:
        """Return the numbers in words."""
        apart = "on the same rows" if self.how == "paired" else "of different subjects"
        return f"{self.challenger:.5g} against {self.primary:.5g} {apart}: {self.difference:+.3g} (surely {self.low:+.3g} to {self.high:+.3g})"


def apart(rows: pl.DataFrame, value: str, *, alpha: float, planned: int) -> Effect | None:
    """Return the difference between subjects of the two sides; None: there are not two of each yet.

    `rows` has `arm`, `unit`, `propensity` and the value; rows that nothing was chosen for are left out. Where a fraction of the
    requests is logged, and those that are not just answered always, `sampled` says which fraction a row stands for.
    """
    import polars as pl

    chosen = rows.filter((pl.col("propensity") < 1) & ~pl.col("shadow")).drop_nulls(value)
    asked = chosen.select(
        pl.col(value).cast(pl.Float64).alias("value"),
        (1 / (pl.col("propensity") * kept(chosen))).alias("weight"),
        (pl.col("arm") == CHALLENGER).alias("treated"),
        (pl.col("unit").rank("dense") - 1).cast(pl.Int64),
    )
    found = contrast(
        asked["value"].to_numpy(),
        weights=asked["weight"].to_numpy(),
        treated=asked["treated"].to_numpy(),
        units=asked["unit"].to_numpy(),
    )
    if found is None:
        return None
    means = {CHALLENGER: found.treatment, PRIMARY: found.control}
    return _effect(means, found.parts.tolist(), found.n_treatment, "apart", alpha=alpha, planned=planned)


def paired(rows: pl.DataFrame, value: str, *, alpha: float, planned: int) -> Effect | None:
    """Return the difference on rows that both sides were asked; None: there are not two units yet.

    `rows` has `arm`, `unit`, `request_id`, `row` and the value, and may have `sampled`. A pair is in the log where both of its
    rows are, and requests are sampled by one hash: so it stands for as many as the row that was likelier left out.
    """
    import polars as pl

    wanted = rows.drop_nulls(value).select(
        "arm", "unit", "request_id", "row", "shadow", pl.col(value).cast(pl.Float64), kept(rows)
    )
    mine = wanted.filter((pl.col("arm") == CHALLENGER) & pl.col("shadow"))
    theirs = wanted.filter(pl.col("arm") == PRIMARY).select(
        "request_id", "row", pl.col(value).alias("theirs"), pl.col("sampled").alias("kept")
    )
    both = mine.join(theirs, on=["request_id", "row"]).with_columns(
        (pl.col(value) - pl.col("theirs")).alias("difference"),
        (1 / pl.min_horizontal("sampled", "kept")).alias("weight"),
    )
    if both["unit"].n_unique() < 2:
        return None
    whole = float(both["weight"].sum())
    means = {
        CHALLENGER: float((both[value] * both["weight"]).sum()) / whole,
        PRIMARY: float((both["theirs"] * both["weight"]).sum()) / whole,
    }
    off = pl.col("difference") - (means[CHALLENGER] - means[PRIMARY])
    added = both.group_by("unit").agg((off * pl.col("weight") / whole).sum().alias("added"))
    return _effect(means, added["added"].to_list(), added.height, "paired", alpha=alpha, planned=planned)


def kept(rows: pl.DataFrame) -> pl.Expr:
    """Return the fraction of the requests that was logged when each row was: all of them, where rows do not say."""
    import polars as pl

    return pl.col("sampled") if "sampled" in rows.columns else pl.lit(1.0).alias("sampled")


def _effect(
    means: dict[str, float], added: list[float], n: int, how: str, *, alpha: float, planned: int
) -> Effect:
    # The units' parts add up to the difference; as a mean of `count` units each part is `count` times as large.
    count = len(added)
    variance = count * math.fsum(part * part for part in added)
    shrunk = planned * count // max(n, 1)
    radius = mean_radius(variance, count, alpha=alpha, planned=max(shrunk, 1))
    difference = means[CHALLENGER] - means[PRIMARY]
    return Effect(
        difference=difference,
        low=difference - radius,
        high=difference + radius,
        challenger=means[CHALLENGER],
        primary=means[PRIMARY],
        n=n,
        how=how,
    )
