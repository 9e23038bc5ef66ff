"""From which probability on to say yes, where a false alarm and a miss cost different amounts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Self, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats, binary, mean
from treadle.evaluation.declared import is_number
from treadle.evaluation.interval import Interval
from treadle.evaluation.intervals import interval
from treadle.evaluation.measures import Measure, metric
from treadle.evaluation.pair import Pair

_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Say yes from a probability on; choose it on validation rows, and measure what it costs on test rows.

    >>> y, p = np.array([0, 0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.9])
    >>> careful = Threshold.chosen(y, p, false_alarm=1, miss=5)
    >>> careful.value, careful.says(p).tolist()
    (0.25, [False, False, True, True, True, True])

    Raises:
        InvalidInput: a cost is negative or no number, or both are 0.
    """

    value: float
    #: What it costs to say yes where it is not so, and to say no where it is so.
    false_alarm: float = 1.0
    miss: float = 1.0

    def __post_init__(self) -> None:
        """Check the costs."""
        costs = (self.false_alarm, self.miss)
        if not all(is_number(cost) and 0 <= cost < math.inf for cost in costs) or not any(costs):
            msg = f"A false alarm costs {self.false_alarm!r} and a miss {self.miss!r}. Expected 0 or more, and not both 0."
            raise InvalidInput(msg, field="false_alarm")

    @classmethod
    def chosen(
        cls, y: npt.ArrayLike, p: npt.ArrayLike, *, false_alarm: float = 1.0, miss: float = 1.0
    ) -> Self:
        """Return the threshold that costs least on these rows, in the middle between two predictions.

        If the probabilities are calibrated it is near false_alarm / (false_alarm + miss); this one need not trust them.
        """
        cls(value=0.5, false_alarm=false_alarm, miss=miss)
        ends, alarms, missed = _ends(y, p)
        costs = false_alarm * alarms + miss * missed
        return cls(value=_between(ends, int(np.argmin(costs))), false_alarm=false_alarm, miss=miss)

    @classmethod
    def at_precision(cls, y: npt.ArrayLike, p: npt.ArrayLike, *, least: float) -> Self:
        """Return the lowest threshold at which, on these rows, at least such a share of what is said is so.

        Raises:
            InvalidInput: no threshold reaches it.
        """
        outcomes, _ = binary(y, p)
        ends, alarms, missed = _ends(y, p)
        found = outcomes.sum() - missed
        said = found + alarms
        good = np.flatnonzero((said > 0) & (found >= least * said))
        if not good.size:
            best = float(np.max(found[said > 0] / said[said > 0]))
            msg = f"No threshold has a precision of {least:g} on these rows; the greatest is {best:.3g}."
            raise InvalidInput(msg, field="least")
        return cls(value=_between(ends, int(good[-1])))

    def says(self, p: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return whether each row is said to be so."""
        return np.asarray(np.asarray(p, dtype=np.float64) >= self.value)

    def measured(
        self,
        y: npt.ArrayLike,
        p: npt.ArrayLike,
        *,
        alpha: float = 0.05,
        groups: npt.NDArray[np.generic] | None = None,
    ) -> dict[str, Interval]:
        """Return `cost` (a row), `precision` and `recall` on these rows, each with its interval."""
        outcomes, _ = binary(y, p)
        said = self.says(p).astype(np.float64)
        return {
            measure.name: interval(Pair(measure=measure, y=outcomes, first=said, groups=groups), alpha=alpha)
            for measure in (self.cost, metric("precision"), metric("recall"))
        }

    @property
    def cost(self) -> Measure:
        """The mean cost of a row, as a metric of what is said: 0 and 1."""

        def per_row(y: npt.ArrayLike, p: npt.ArrayLike) -> Floats:
            outcomes, said = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
            return np.asarray(self.false_alarm * said * (1 - outcomes) + self.miss * (1 - said) * outcomes)

        def value(y: npt.ArrayLike, p: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
            return float(mean(per_row(y, p), weight))

        module = SimpleNamespace(
            NAME="cost", TASK="classification", GREATER_IS_BETTER=False, per_row=per_row, value=value
        )
        return Measure(cast("ModuleType", module))


def trade_off(y: npt.ArrayLike, p: npt.ArrayLike) -> pl.DataFrame:
    """Return what each threshold brings on these rows: `threshold`, `precision` and `recall`, at most 200 rows.

    >>> trade_off([0, 1, 1], [0.2, 0.4, 0.8])["recall"].to_list()
    [0.5, 1.0, 1.0]
    """
    outcomes, _ = binary(y, p)
    ends, alarms, missed = _ends(y, p)
    found = outcomes.sum() - missed
    table = pl.DataFrame({"threshold": ends, "said": found + alarms, "found": found}).slice(1)
    shown = np.unique(np.linspace(0, table.height - 1, min(_SHOWN, table.height)).round().astype(int))
    return table[shown].select(
        "threshold",
        (pl.col("found") / pl.col("said")).alias("precision"),
        (pl.col("found") / max(outcomes.sum(), 1)).alias("recall"),
    )


def _ends(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Return the lowest prediction that is said yes to, false alarms and misses, from saying never to saying always."""
    outcomes, chances = binary(y, p)
    order = np.argsort(-chances, kind="stable")
    last = np.flatnonzero(np.diff(chances[order], append=-1.0))
    found = np.cumsum(outcomes[order])[last]
    ends = np.concatenate([[np.inf], chances[order][last]])
    alarms = np.concatenate([[0.0], last + 1 - found])
    return ends, alarms, outcomes.sum() - np.concatenate([[0.0], found])


def _between(ends: Floats, place: int) -> float:
    """Return the middle between the last prediction that is said yes to and the next."""
    if place == 0:
        return float(np.nextafter(ends[1], np.inf)) if len(ends) > 1 else 1.0
    if place == len(ends) - 1:
        return float(ends[place])
    return float((ends[place] + ends[place + 1]) / 2)
