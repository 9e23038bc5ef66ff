"""Expected calibration error: how far probabilities are from frequencies, on average over ten bins of equal width.

Of predictions between 0.3 and 0.4, between 30 % and 40 % should come true. The metric is the mean, weighted by rows, of
the distance in each bin between the mean prediction and the share that came true (Naeini and others, 2015). It is never
quite 0 for a finite number of rows, so compare it only on the same rows. Of several classes, the most probable one is looked
at: how probable it was said to be, and whether it came true.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, binary, classes, mean

NAME = "calibration_error"
TASK = ("classification", "multiclass")
GREATER_IS_BETTER = False
BOUNDS = (0.0, 1.0)
BINS = 10
#: Adds up absolute means.
FOLDED = True


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return outcome less prediction of each row, in the column of its bin; a bin's upper end belongs to the next."""
    outcomes, chances = _most_probable(y, p) if np.ndim(p) == 2 else binary(y, p)
    filled = np.zeros((len(outcomes), BINS))
    places = np.minimum((chances * BINS).astype(np.int64), BINS - 1)
    filled[np.arange(len(outcomes)), places] = outcomes - chances
    return filled


def _most_probable(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats]:
    places, shares = classes(y, p)
    return np.asarray(shares.argmax(axis=1) == places, dtype=np.float64), shares.max(axis=1)


def combine(means: Floats) -> Floats:
    """Return the metric of the means of the terms."""
    return np.asarray(np.abs(means).sum(axis=-1))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([1, 0, 1, 1], [0.75, 0.75, 0.75, 0.75])
    0.0
    """
    return float(combine(mean(terms(y, p), weight)))
