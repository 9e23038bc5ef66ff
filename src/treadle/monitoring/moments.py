"""What a metric is made of, as sums over rows: they can be added up over days, and rows can be taken out again.

A row weighs as many answers as it stands for: 1 over the fraction of the requests that was logged when it was. Of a metric that is
a mean over rows, its interval is made of the same sums (the mean of weighted rows and its variance, Hájek 1971).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl

#: Rows with an outcome, and rows at all.
N, ASKED = "n", "asked"
_W, _WW = "w", "ww"
#: Sums of the squared weights times a term, and times its square: what the variance is made of.
_WWT, _WWTT = "wwt", "wwtt"
_CODE = "_code"
#: Stretches begin at whole hours.
_HOUR = 3_600_000_000
_MOST_CODES = 2**62


@dataclass(frozen=True)
class Makeup:
    """What a metric is made of."""

    #: How many terms a row has.
    terms: int
    #: Takes means of the terms, of shape (groups, terms), and returns the metric of each group.
    combine: Callable[[np.ndarray], np.ndarray]
    #: Whether it is the mean of its one term, and so has an interval.
    is_mean: bool
    #: What is taken from each term before it is summed, so that the variance of terms that are far from 0 is exact; it never changes.
    center: tuple[float, ...]

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """The columns of sums, beside those that they are grouped by."""
        squares = (_WW, _WWT, _WWTT) if self.is_mean else ()
        names = (_W, *self.term_columns, *squares)
        return {N: pl.Int64(), ASKED: pl.Int64(), **dict.fromkeys(names, pl.Float64())}

    @property
    def term_columns(self) -> list[str]:
        """The columns of the rows' terms."""
        return [f"t{place}" for place in range(self.terms)]

    def nothing(self, by: dict[str, pl.DataType]) -> pl.DataFrame:
        """Return sums of no rows."""
        return pl.DataFrame(schema={**by, **self.columns})

    def summed(self, rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
        """Return the sums of rows by group; rows have `weight` and `term_columns`, which are null where no outcome is known."""
        weight, known = pl.col("weight"), pl.col("t0").is_not_null()
        term = [(pl.col(name) - at) for name, at in zip(self.term_columns, self.center, strict=True)]
        sums = [
            known.sum().cast(pl.Int64).alias(N),
            pl.len().cast(pl.Int64).alias(ASKED),
            (weight * known).sum().alias(_W),
            *((weight * one).sum().alias(name) for one, name in zip(term, self.term_columns, strict=True)),
        ]
        if self.is_mean:
            square = weight * weight
            sums += [
                (square * known).sum().alias(_WW),
                (square * term[0]).sum().alias(_WWT),
                (square * term[0] * term[0]).sum().alias(_WWTT),
            ]
        coded = _coded(rows, by)
        if coded is None:
            return rows.group_by(by, maintain_order=True).agg(sums)
        first = [pl.col(name).first() for name in by]
        grouped = rows.with_columns(coded.alias(_CODE)).group_by(_CODE, maintain_order=True)
        return grouped.agg(*first, *sums).drop(_CODE)

    def added(self, parts: Sequence[pl.DataFrame], by: Sequence[str]) -> pl.DataFrame:
        """Return the sums of several together; groups without a row go."""
        whole = pl.concat(parts).group_by(by, maintain_order=True).agg(pl.col(list(self.columns)).sum())
        return whole.filter(pl.col(ASKED) > 0)

    def without(self, sums: pl.DataFrame) -> pl.DataFrame:
        """Return sums that take these out where they are added."""
        return sums.with_columns(-pl.col(list(self.columns)))

    def means(self, sums: pl.DataFrame) -> np.ndarray:
        """Return the mean of each term by group, of shape (groups, terms); NaN where no outcome is known."""
        weight = _over(sums[_W].to_numpy())
        found = [sums[name].to_numpy() / weight for name in self.term_columns]
        return np.asarray(np.column_stack(found) + np.array(self.center))

    def values(self, sums: pl.DataFrame) -> np.ndarray:
        """Return the metric of each group."""
        means = self.means(sums)
        return means[:, 0] if self.is_mean else np.asarray(self.combine(means))

    def variances(self, sums: pl.DataFrame) -> np.ndarray:
        """Return the squared standard error of each group's mean; NaN of fewer than two rows."""
        n, weight = sums[N].to_numpy().astype(float), _over(sums[_W].to_numpy())
        mean = sums["t0"].to_numpy() / weight
        square, first, second = (sums[name].to_numpy() for name in (_WW, _WWT, _WWTT))
        about = np.maximum(second - 2 * mean * first + mean**2 * square, 0.0)
        return np.asarray(about / weight**2 * n / np.where(n > 1, n - 1, np.nan))

    def intervals(self, sums: pl.DataFrame, confidence: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of each group's interval by the normal approximation; NaN where there is none."""
        if not self.is_mean:
            return np.full(sums.height, np.nan), np.full(sums.height, np.nan)
        value = self.values(sums)
        reach = NormalDist().inv_cdf((1 + confidence) / 2) * np.sqrt(self.variances(sums))
        return value - reach, value + reach


def _coded(rows: pl.DataFrame, by: Sequence[str]) -> pl.Series | None:
    """Return one number for each group, which costs less to group by than columns of texts; None: there are too many."""
    code, size = pl.Series("code", np.zeros(rows.height, np.int64)), 1
    for name in by:
        column = rows[name]
        if column.dtype == pl.String:
            places = column.cast(pl.Categorical).to_physical().cast(pl.Int64)
        elif isinstance(column.dtype, pl.Datetime):
            places = column.dt.epoch("us") // _HOUR
        else:
            places = column.cast(pl.Int64)
        low, high = places.min(), places.max()
        width = 1 if low is None else int(high) - int(low) + 2  # type: ignore[arg-type]
        size *= width
        if size >= _MOST_CODES:
            return None
        code = code * width + (places - (low or 0) + 1).fill_null(0)
    return code


def _over(weight: np.ndarray) -> np.ndarray:
    return np.where(weight > 0, weight, np.nan)
