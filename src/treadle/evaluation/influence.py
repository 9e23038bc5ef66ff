"""How far each row moves a metric: influence values, of which the metric's standard error is made in one pass.

The influence of a row is the derivative of the metric by the row's weight, times the number of rows (Hampel, 1974;
for the area under the ROC curve these are the placement values of DeLong and others, 1988). Their mean is 0, and the
variance of their mean is that of the metric. For a function of means it is the gradient times the rows' terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats, mean
from treadle.evaluation.measures import Measure

#: The step of the gradient, in standard errors of a mean: small beside what chance does, large beside rounding.
_STEP = 0.01
#: A mean within so many standard errors of 0 may be 0.
_MAY_BE_ZERO = 3.0
#: The mean of |Z| for a standard normal Z.
_MEAN_ABSOLUTE = float(np.sqrt(2 / np.pi))


@dataclass(frozen=True, eq=False)
class Scored:
    """One predictor's answers, scored by one metric; what costs a pass over the rows is done once."""

    measure: Measure
    y: Floats
    p: Floats
    #: How many rows each stands for; None: one.
    counts: Floats | None = None

    @property
    def n(self) -> float:
        """The number of rows."""
        return len(self.y) if self.counts is None else float(self.counts.sum())

    @cached_property
    def rows(self) -> Floats | None:
        """What each row adds to a metric that is a mean; None: it is no mean."""
        return None if self.measure.per_row is None else self.measure.per_row(self.y, self.p)

    @cached_property
    def terms(self) -> Floats | None:
        """What each row adds to the means that decide a metric, of shape (rows, k); None: no means do, or it is one."""
        if self.rows is not None or self.measure.terms is None:
            return None
        return self.measure.terms(self.y, self.p)

    @cached_property
    def value(self) -> float:
        """The metric; NaN where it has no value for such rows."""
        if self.rows is not None:
            return float(mean(self.rows, self.counts))
        if self.terms is not None:
            return float(self.measure.combine(mean(self.terms, self.counts)))
        return self.measure.value(self.y, self.p, self.counts)

    @cached_property
    def influence(self) -> Floats | None:
        """How far each row moves the metric, of shape (rows,); NaN where it has no value, None where it cannot say."""
        if self.rows is not None:
            return np.asarray(self.rows - self.value)
        if self.measure.influence is not None:
            return self.measure.influence(self.y, self.p, self.counts)
        return None if self.terms is None else np.asarray((self.terms - self._means) @ self._gradient())

    @cached_property
    def deciding(self) -> npt.NDArray[np.bool_] | None:
        """Which rows the metric looks at, as recall only at positive ones; None: all."""
        return None if self.terms is None else np.asarray((self.terms != 0).any(axis=1))

    def excess(self, codes: npt.NDArray[np.int64] | None = None) -> float:
        """Return how far noise alone may have raised a metric that adds up absolute means; 0 for others.

        The estimate of |m| exceeds it by at most 0.8 standard errors on average, which it does where m is 0. `codes` are
        the groups that rows are tied by.
        """
        if not self.measure.is_folded or self.terms is None:
            return 0.0
        moved = self.terms - self._means
        if codes is not None:
            moved = np.column_stack([np.bincount(codes, weights=column) for column in moved.T])
        squares = moved**2
        total = self.counts @ squares if codes is None and self.counts is not None else squares.sum(axis=0)
        errors = np.sqrt(total) / self.n
        return float(_MEAN_ABSOLUTE * errors[np.abs(self._means) < _MAY_BE_ZERO * errors].sum())

    @cached_property
    def _means(self) -> Floats:
        assert self.terms is not None
        return mean(self.terms, self.counts)

    def _gradient(self) -> Floats:
        """Return the derivative of the metric by each mean, by central differences."""
        assert self.terms is not None
        means = self._means
        errors = np.sqrt(np.maximum(mean(self.terms**2, self.counts) - means**2, 0.0) / self.n)
        steps = _STEP * np.where(errors > 0, errors, np.maximum(np.abs(means), 1.0))
        around = means + np.concatenate([np.diag(steps), -np.diag(steps)])
        above, below = np.split(self.measure.combine(around), 2)
        return np.asarray((above - below) / (2 * steps))
