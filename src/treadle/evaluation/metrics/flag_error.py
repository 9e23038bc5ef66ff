"""Flag error: how far the share of rows that are flagged as anomalies is from the share that was promised.

Predictions are scores less the bound, so that rows above 0 are flagged; `y` is the promised share, for each row. It says
whether the bound of training holds for new rows, not whether the right ones are flagged: that needs to be known.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean, numbers

NAME = "flag_error"
TASK = "anomaly"
GREATER_IS_BETTER = False
BOUNDS = (0.0, 1.0)
FOLDED = True


def terms(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
    """Return whether each row is flagged, less the promised share: shape (rows, 1)."""
    promised, scores = numbers(y, p)
    return np.asarray((scores > 0) - promised)[:, None]


def combine(means: Floats) -> Floats:
    """Return the size of the mean."""
    return np.asarray(np.abs(means[..., 0]))


def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Return the metric.

    >>> value([0.25, 0.25, 0.25, 0.25], [0.1, 0.2, -0.3, -0.1])
    0.25
    """
    return float(combine(mean(terms(y, p), weight)))
