"""Do probabilities keep what they say? The reliability table, and two ways to mend them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.optional import require
from treadle.evaluation.arrays import Floats, binary
from treadle.evaluation.quantiles import wilson

_TINY = 1e-12
_STEPS, _SETTLED = 50, 1e-10


def reliability(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    *,
    bins: int = 10,
    alpha: float = 0.05,
    spaced: Literal["evenly", "by rows"] = "evenly",
) -> pl.DataFrame:
    """Return, for each bin of predictions, what was predicted and what happened, with Wilson's interval.

    Columns: `low` and `high` (the bin), `rows`, `predicted`, `happened`, `happened_low`, `happened_high`. Bins are of
    equal width, or, spaced by rows, of about as many rows each; empty ones are left out.

    >>> reliability([0, 1, 1, 1], [0.1, 0.8, 0.85, 0.9], bins=2).select("rows", "happened").rows()
    [(1, 0.0), (3, 1.0)]
    """
    outcomes, chances = binary(y, p)
    edges = np.linspace(0, 1, bins + 1)
    if spaced == "by rows":
        edges = np.unique(np.concatenate([[0.0], np.quantile(chances, edges[1:-1]), [1.0]]))
    places = np.clip(np.searchsorted(edges, chances, side="right") - 1, 0, len(edges) - 2)
    rows = []
    for place in np.unique(places):
        inside = places == place
        n, hits = int(inside.sum()), float(outcomes[inside].sum())
        low, high = wilson(hits, n, alpha=alpha)
        rows.append(
            {
                "low": float(edges[place]),
                "high": float(edges[place + 1]),
                "rows": n,
                "predicted": float(chances[inside].mean()),
                "happened": hits / n,
                "happened_low": low,
                "happened_high": high,
            }
        )
    return pl.DataFrame(rows)


@dataclass(frozen=True, eq=False, kw_only=True)
class Recalibration:
    """A monotone curve from what a model says to what happens; fit it to validation rows, never to test rows.

    >>> p = np.linspace(0.01, 0.99, 500)
    >>> y = (np.arange(500) * 0.618 % 1 < p**2).astype(float)
    >>> bool(abs(Recalibration.platt(y, p).apply(np.array([0.5]))[0] - 0.25) < 0.05)
    True
    """

    method: str
    #: Log odds are multiplied and moved by these (Platt); or the curve's corners (isotonic).
    slope: float = 1.0
    shift: float = 0.0
    said: tuple[float, ...] = ()
    happened: tuple[float, ...] = ()

    @classmethod
    def platt(cls, y: npt.ArrayLike, p: npt.ArrayLike) -> Self:
        """Fit two numbers to the log odds (Platt, 1999), by Newton's method: for few rows.

        Raises:
            InvalidInput: the outcomes are all of one class.
        """
        outcomes, chances = _two_classes(y, p)
        # Platt's own targets, which keep the curve off 0 and 1.
        positive, negative = outcomes.sum(), len(outcomes) - outcomes.sum()
        wanted = np.where(outcomes == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
        slope, shift = _logistic(_log_odds(chances), wanted)
        return cls(method="platt", slope=slope, shift=shift)

    @classmethod
    def isotonic(cls, y: npt.ArrayLike, p: npt.ArrayLike) -> Self:
        """Fit the best curve that never falls (scikit-learn's isotonic regression): for a thousand rows and more.

        Raises:
            InvalidInput: the outcomes are all of one class.
            MissingExtra: scikit-learn is not installed.
        """
        outcomes, chances = _two_classes(y, p)
        library = require("sklearn.isotonic", extra="sklearn")
        fitted = library.IsotonicRegression(out_of_bounds="clip").fit(chances, outcomes)
        return cls(
            method="isotonic",
            said=tuple(map(float, fitted.X_thresholds_)),
            happened=tuple(map(float, fitted.y_thresholds_)),
        )

    def apply(self, p: npt.ArrayLike) -> Floats:
        """Return mended probabilities."""
        chances = np.asarray(p, dtype=np.float64)
        if self.method == "isotonic":
            return np.interp(chances, self.said, self.happened)
        return _chance(self.slope * _log_odds(chances) + self.shift)


def _logistic(odds: Floats, wanted: Floats) -> tuple[float, float]:
    """Return slope and shift of least log loss, by Newton's method; a step that makes it worse is halved."""
    inputs = np.column_stack([odds, np.ones(len(odds))])
    weights = np.array([0.0, _log_odds(wanted.mean(keepdims=True))[0]])

    def loss(tried: Floats) -> float:
        reached = inputs @ tried
        return float(np.logaddexp(0, reached).sum() - wanted @ reached)

    for _ in range(_STEPS):
        found = _chance(inputs @ weights)
        curve = (inputs * (found * (1 - found))[:, None]).T @ inputs + _TINY * np.eye(2)
        step = np.linalg.solve(curve, inputs.T @ (wanted - found))
        while loss(weights + step) > loss(weights) and np.abs(step).max() > _SETTLED:
            step = step / 2
        weights = weights + step
        if np.abs(step).max() <= _SETTLED:
            break
    return float(weights[0]), float(weights[1])


def _two_classes(y: npt.ArrayLike, p: npt.ArrayLike) -> tuple[Floats, Floats]:
    outcomes, chances = binary(y, p)
    if outcomes.min() == outcomes.max():
        msg = f"Every outcome of the {len(outcomes):,} rows is {outcomes[0]:g}. Expected both, to see what happens when."
        raise InvalidInput(msg, field="y")
    return outcomes, chances


def _log_odds(chances: Floats) -> Floats:
    held = np.clip(chances, _TINY, 1 - _TINY)
    return np.asarray(np.log(held / (1 - held)))


def _chance(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -500, 500))))
