"""How sure is the difference between two predictors that answered the same rows? The paired bootstrap.

Rows (or groups of rows that belong together) are drawn again and again, both predictors are scored on each draw, and
the middle 1 - alpha of the differences is the interval. Each row's weight in a draw is an independent small number
whose mean and variance are exactly 1 and whose third and fourth moments are within 0.2 % of a Poisson's, so a draw costs
one random byte a row (Chamandy and others, "Estimating uncertainty for massive data streams", 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats
from treadle.evaluation.measures import Measure

#: How many of the 256 values of a byte give the weight 0, 1, 2, …
_COUNTS = (94, 94, 49, 13, 5, 1)
_WEIGHT_OF_BYTE = bytes(weight for weight, count in enumerate(_COUNTS) for _ in range(count))
#: Weights in memory at once, unless one draw has more.
_BLOCK = 200_000
#: Share of the draws on which the metric must have a value.
_DEFINED = 0.95
#: Scores the two predictors on draws: from weights of shape (draws, units) to differences of shape (draws,).
_Differences = Callable[[Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The difference of a metric, first predictor less second, and how far it may be off."""

    #: The metric of each on all rows, and the difference; NaN where the metric has no value.
    first: float
    second: float
    difference: float
    #: Ends of the interval; NaN where the metric has no value on too many draws.
    low: float
    high: float
    #: One minus the interval's confidence; half of it lies beyond each end.
    alpha: float
    #: Rows, and units that were drawn: groups, or else rows.
    n: int
    units: int


def paired(
    measure: Measure,
    y: Floats,
    *,
    first: Floats,
    second: Floats,
    groups: npt.NDArray[np.generic] | None = None,
    draws: int = 2000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Interval:
    """Compare two predictors' answers to the same rows, all of shape (rows,), by a percentile interval.

    With `groups`, whole groups are drawn: for rows that are not independent, as several of one user. The same seed
    gives the same interval. Equal predictions give exactly 0.

    Raises:
        InvalidInput: alpha is not between 0 and 1, the groups' length differs, or the metric refuses the arrays.
    """
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha!r}. Expected more than 0 and less than 1, as 0.05 for 95 % intervals."
        raise InvalidInput(msg, field="alpha")
    codes = None if groups is None else _codes(groups, rows=len(y))
    a, b = measure.value(y, first), measure.value(y, second)
    units = len(y) if codes is None else int(codes.max()) + 1
    low = high = 0.0 if np.isfinite(a) else float("nan")
    if not np.array_equal(first, second):
        differences = _scorer(measure, y, first=first, second=second, codes=codes)
        drawn = np.concatenate([differences(block) for block in _weights(units, draws=draws, seed=seed)])
        low, high = _middle(drawn, alpha)
    return Interval(
        first=a, second=b, difference=a - b, low=low, high=high, alpha=alpha, n=len(y), units=units
    )


def _middle(drawn: Floats, alpha: float) -> tuple[float, float]:
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < _DEFINED * len(drawn):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def _weights(units: int, *, draws: int, seed: int) -> Iterator[Floats]:
    """Yield weights of shape (some draws, units); the stream of random bytes is NumPy's fixed PCG64."""
    random = np.random.PCG64(seed)
    block = max(1, _BLOCK // units)
    for start in range(0, draws, block):
        size = min(block, draws - start) * units
        raw = random.random_raw(size // 8 + 1).astype("<u8", copy=False).tobytes()
        drawn = np.frombuffer(raw.translate(_WEIGHT_OF_BYTE), dtype=np.uint8, count=size)
        yield drawn.reshape(-1, units).astype(np.float64)


def _scorer(
    measure: Measure, y: Floats, *, first: Floats, second: Floats, codes: npt.NDArray[np.int64] | None
) -> _Differences:
    if measure.per_row is not None:
        return _difference_of_means(measure.per_row(y, first) - measure.per_row(y, second), codes)
    if measure.terms is not None:
        a, b = (_means(measure.terms(y, p), codes) for p in (first, second))
        return lambda weights: measure.combine(a(weights)) - measure.combine(b(weights))
    return _recomputed(measure, y, first=first, second=second, codes=codes)


def _difference_of_means(difference: Floats, codes: npt.NDArray[np.int64] | None) -> _Differences:
    middle = difference.mean()
    means = _means((difference - middle)[:, None], codes)
    return lambda weights: middle + means(weights)[:, 0]


def _means(terms: Floats, codes: npt.NDArray[np.int64] | None) -> Callable[[Floats], Floats]:
    """Return the means of terms, of shape (rows, k), as a function of the units' weights: shape (draws, k)."""
    sums, sizes = terms, np.ones(len(terms))
    if codes is not None:
        sums = np.column_stack([np.bincount(codes, weights=column) for column in terms.T])
        sizes = np.bincount(codes).astype(np.float64)

    def means(weights: Floats) -> Floats:
        total = weights @ sizes
        return np.asarray((weights @ sums) / np.where(total > 0, total, np.nan)[:, None])

    return means


def _recomputed(
    measure: Measure, y: Floats, *, first: Floats, second: Floats, codes: npt.NDArray[np.int64] | None
) -> _Differences:
    a, b = measure.prepare(y, first), measure.prepare(y, second)

    def difference(weight: Floats) -> float:
        rows = weight if codes is None else weight[codes]
        return a(rows) - b(rows) if weight.any() else float("nan")

    return lambda weights: np.array([difference(weight) for weight in weights])


def _codes(groups: npt.NDArray[np.generic], *, rows: int) -> npt.NDArray[np.int64]:
    """Number the groups 0, 1, 2, …; rows without a group form one together."""
    if len(groups) != rows:
        msg = f"There are {len(groups):,} groups for {rows:,} rows. Expected the group of each row."
        raise InvalidInput(msg, field="groups")
    values = pl.Series("group", groups, strict=False)
    first = values.to_frame().with_row_index("row").select(pl.col("row").first().over("group"))
    return np.unique(first["row"].to_numpy(), return_inverse=True)[1]
