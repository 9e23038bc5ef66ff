"""Area under the ROC curve: the chance that a positive row is ranked above a negative one, ties counting half.

NaN where all rows are of one class: there is no such pair. Of several classes, the mean over those that some rows have and
others have not, each against the rest; of labels likewise. With `scores`, predictions are any finite numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, classes, flags, labels, mean_of_defined, starts_of, weights

NAME = "roc_auc"
TASK = ("classification", "multiclass", "multilabel", "anomaly")
GREATER_IS_BETTER = True
BOUNDS = (0.0, 1.0)
OPTIONS = ("scores",)


def prepare(y: npt.ArrayLike, p: npt.ArrayLike, *, scores: bool = False) -> Callable[[Floats], float]:
    """Return the metric as a function of the rows' weights; the rows are sorted once."""
    if np.ndim(p) == 2:
        return _one_against_rest(y, p)
    outcomes, chances = flags(y, p, scores=scores)
    order = np.argsort(chances, kind="stable")
    positive = outcomes[order]
    starts = starts_of(chances[order])
    tied = len(starts) < len(order)

    def weighted(weight: Floats) -> float:
        ranked = weight[order]
        above = ranked * positive
        below = ranked - above
        if tied:
            above, below = np.add.reduceat(above, starts), np.add.reduceat(below, starts)
        passed = np.cumsum(below)
        pairs = above.sum() * passed[-1]
        return float(above @ (passed - below / 2) / pairs) if pairs > 0 else float("nan")

    return weighted


def influence(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, scores: bool = False
) -> Floats:
    """Return how far each row moves the metric, of shape (rows,); NaN where all rows are of one class.

    A positive row moves it by the share of negative ones below it, less the metric, over the share of positive rows;
    a negative one likewise (DeLong and others, 1988).
    """
    if np.ndim(p) == 2:
        return _influence_of_several(y, p, weight)
    outcomes, chances = flags(y, p, scores=scores)
    given = weights(weight, rows=len(outcomes))
    order = np.argsort(chances, kind="stable")
    starts = starts_of(chances[order])
    place = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    above = np.add.reduceat((given * outcomes)[order], starts)
    below = np.add.reduceat((given * (1 - outcomes))[order], starts)
    positive, negative = above.sum(), below.sum()
    if not positive or not negative:
        return np.full(len(outcomes), np.nan)
    beaten = ((np.cumsum(below) - below / 2) / negative)[place]
    beating = 1 - ((np.cumsum(above) - above / 2) / positive)[place]
    is_positive = outcomes[order] == 1
    placed = np.where(is_positive, beaten, beating)
    area = float((given * outcomes)[order] @ beaten / positive)
    moved = np.empty(len(order))
    moved[order] = (placed - area) * given.sum() / np.where(is_positive, positive, negative)
    return moved


def _one_against_rest(y: npt.ArrayLike, p: npt.ArrayLike) -> Callable[[Floats], float]:
    each = [prepare(*one) for one in _each(y, p)]
    return lambda weight: float(mean_of_defined(np.array([one(weight) for one in each])))


def _each(y: npt.ArrayLike, p: npt.ArrayLike) -> list[tuple[Floats, Floats]]:
    """Return, for each label, or each class that some rows have, whether it is so and how probable it was said to be."""
    if np.ndim(y) == 2:
        held, shares = labels(y, p)
        return list(zip(held.T, shares.T, strict=True))
    places, shares = classes(y, p)
    return [
        (np.asarray(places == one, dtype=np.float64), np.clip(shares[:, one], 0, 1))
        for one in np.unique(places)
    ]


def _influence_of_several(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None) -> Floats:
    each = [influence(*one, weight) for one in _each(y, p)]
    return mean_of_defined(np.column_stack(each))


def value(
    y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None, *, scores: bool = False
) -> float:
    """Return the metric.

    >>> value([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4])
    0.75
    """
    metric = prepare(y, p, scores=scores)
    return metric(weights(weight, rows=len(np.asarray(y))))
