"""How sure is the difference between two predictors that answered the same rows? The paired bootstrap.

Rows (or groups of rows that belong together) are drawn again and again, both predictors are scored on each draw, and
the spread of the differences gives the interval. Each row's weight in a draw is an independent small number whose mean
and variance are exactly 1 and whose third and fourth moments are within 0.2 % of a Poisson's, so a draw costs one random
byte a row (Chamandy and others, "Estimating uncertainty for massive data streams", 2012). Many rows of a metric that is
a mean cost less: see `treadle.evaluation.cells`.

The percentile interval is too narrow on a few hundred rows. So its ends are taken farther out, by what Student's t is
wider than the normal distribution (Hesterberg, 2015), and each end is the farther of that and of the same turned round
the estimate, which errs to the other side where the draws are skewed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from treadle.core.errors import InvalidInput
from treadle.evaluation import cells
from treadle.evaluation.arrays import Floats
from treadle.evaluation.interval import Interval
from treadle.evaluation.measures import Measure
from treadle.evaluation.pair import Pair
from treadle.evaluation.quantiles import student

#: How many of the 256 values of a byte give the weight 0, 1, 2, …
_COUNTS = (94, 94, 49, 13, 5, 1)
_WEIGHT_OF_BYTE = bytes(weight for weight, count in enumerate(_COUNTS) for _ in range(count))
#: Weights in memory at once, unless one draw has more.
_BLOCK = 200_000
#: Share of the draws on which the metric must have a value.
_DEFINED = 0.95
#: Scores the two predictors on draws: from weights of shape (draws, units) to differences of shape (draws,).
_Differences = Callable[[Floats], Floats]


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
    """Compare two predictors' answers to the same rows; axis 0 is the rows.

    With `groups`, whole groups are drawn: for rows that are not independent, as several of one user. The same seed
    gives the same interval. Equal predictions give exactly 0.

    Raises:
        InvalidInput: alpha is not between 0 and 1, the groups' length differs, or the metric refuses the arrays.
    """
    if not 0 < alpha < 1:
        msg = f"alpha is {alpha!r}. Expected more than 0 and less than 1, as 0.05 for 95 % intervals."
        raise InvalidInput(msg, field="alpha")
    pair = Pair(measure=measure, y=y, first=first, second=second, groups=groups)
    a, b = pair.values
    low = high = 0.0 if np.isfinite(a) else float("nan")
    if not pair.is_same:
        low, high = ends(pair, alpha=alpha, draws=draws, seed=seed)
    return Interval(
        first=a,
        second=b,
        difference=a - b,
        low=low,
        high=high,
        alpha=alpha,
        n=pair.n,
        units=pair.units,
        method="bootstrap",
    )


def ends(pair: Pair, *, alpha: float, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Return the ends of the interval of a pair; NaN where the metric has no value on too many draws."""
    found = drawn(pair, draws=draws, seed=seed)
    defined = found[np.isfinite(found)]
    if len(defined) < _DEFINED * len(found) or pair.units < 2:
        return float("nan"), float("nan")
    t = student(1 - alpha / 2, pair.units - 1) * math.sqrt(pair.units / (pair.units - 1))
    beyond = NormalDist().cdf(-t)
    low, high = np.quantile(defined, [beyond, 1 - beyond])
    estimate = pair.difference
    return min(float(low), 2 * estimate - float(high)), max(float(high), 2 * estimate - float(low))


def drawn(pair: Pair, *, draws: int, seed: int) -> Floats:
    """Return what is estimated, on each draw of units: shape (draws,)."""
    rows = _difference_of_rows(pair)
    if rows is not None and pair.codes is None and len(rows) >= cells.LEAST:
        return cells.means(rows, draws=draws, seed=seed)
    differences = _scorer(pair, rows)
    return np.concatenate([differences(block) for block in weights(pair.units, draws=draws, seed=seed)])


def weights(units: int, *, draws: int, seed: int) -> Iterator[Floats]:
    """Yield weights of shape (some draws, units); the stream of random bytes is NumPy's fixed PCG64."""
    random = np.random.PCG64(seed)
    block = max(1, _BLOCK // units)
    for start in range(0, draws, block):
        size = min(block, draws - start) * units
        raw = random.random_raw(size // 8 + 1).astype("<u8", copy=False).tobytes()
        found = np.frombuffer(raw.translate(_WEIGHT_OF_BYTE), dtype=np.uint8, count=size)
        yield found.reshape(-1, units).astype(np.float64)


def _difference_of_rows(pair: Pair) -> Floats | None:
    first, second = pair.scored
    if first.rows is None or second is None or second.rows is None:
        return first.rows
    return np.asarray(first.rows - pair.scale * second.rows)


def _scorer(pair: Pair, rows: Floats | None) -> _Differences:
    measure, y, codes, scale = pair.measure, pair.y, pair.codes, pair.scale
    if rows is not None:
        return _difference_of_means(rows, codes)
    sides = [p for p in (pair.first, pair.second) if p is not None]
    scores: list[_Differences]
    if measure.terms is not None:
        scores = [_of_means(measure, measure.terms(y, p), codes) for p in sides]
    else:
        scores = [_recomputed(measure.prepare(y, p), codes) for p in sides]
    if len(scores) == 1:
        return scores[0]
    return lambda weight: scores[0](weight) - scale * scores[1](weight)


def _difference_of_means(difference: Floats, codes: npt.NDArray[np.int64] | None) -> _Differences:
    middle = difference.mean()
    means = _means((difference - middle)[:, None], codes)
    return lambda weight: middle + means(weight)[:, 0]


def _of_means(measure: Measure, terms: Floats, codes: npt.NDArray[np.int64] | None) -> _Differences:
    means = _means(terms, codes)
    return lambda weight: measure.combine(means(weight))


def _means(terms: Floats, codes: npt.NDArray[np.int64] | None) -> Callable[[Floats], Floats]:
    """Return the means of terms, of shape (rows, k), as a function of the units' weights: shape (draws, k)."""
    sums, sizes = terms, np.ones(len(terms))
    if codes is not None:
        sums = np.column_stack([np.bincount(codes, weights=column) for column in terms.T])
        sizes = np.bincount(codes).astype(np.float64)

    def means(weight: Floats) -> Floats:
        total = weight @ sizes
        return np.asarray((weight @ sums) / np.where(total > 0, total, np.nan)[:, None])

    return means


def _recomputed(value: Callable[[Floats], float], codes: npt.NDArray[np.int64] | None) -> _Differences:
    def score(weight: Floats) -> float:
        return value(weight if codes is None else weight[codes]) if weight.any() else float("nan")

    return lambda weight: np.array([score(one) for one in weight])
