"""Several models as one: a weighted mean of their answers, the weights tuned without training any of them again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats
from treadle.evaluation.measures import metric
from treadle.evaluation.objective import Objective

#: Sweeps over all pairs of models, and the gain below which they end.
_SWEEPS, _LEAST_GAIN = 40, 1e-9
#: Places tried between two models before the best is narrowed down, and how often it is.
_PLACES, _NARROWINGS = 11, 25
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Blend:
    """A weighted mean of several models' answers; tune it on validation rows, and measure it on test rows as any model.

    >>> y = np.array([0.0, 1.0, 2.0, 3.0])
    >>> answers = {"low": y - 1, "high": y + 3}
    >>> blend = Blend.tuned(answers, y, on="rmse")
    >>> {name: round(weight, 2) for name, weight in blend.weights.items()}
    {'low': 0.75, 'high': 0.25}
    >>> blend.predict(answers).round(3).tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    #: Model → weight: none negative, and together 1.
    weights: Mapping[str, float]

    @classmethod
    def tuned(
        cls, predictions: Mapping[str, npt.ArrayLike], y: npt.ArrayLike, *, on: str | Objective
    ) -> Blend:
        """Return the blend whose answers score best on these rows: two models at a time share their weight anew.

        Where the metric is convex in the answers, as log_loss, brier, rmse and mae are, that is the best there is; else
        it is one that no pair can better, and never worse than the best single model.

        Raises:
            InvalidInput: there are no models, their answers have different shapes, or the metric refuses them.
        """
        names, answers = list(predictions), _stacked(predictions)
        measure = on.measure if isinstance(on, Objective) else metric(on)
        sign = -1.0 if measure.greater_is_better else 1.0

        def loss(weights: Floats) -> float:
            value = sign * measure.value(y, np.tensordot(weights, answers, axes=1))
            return value if math.isfinite(value) else math.inf

        best = min([*np.eye(len(names)), np.full(len(names), 1 / len(names))], key=loss)
        found = _swept(loss, best)
        return cls(weights={name: float(weight) for name, weight in zip(names, found, strict=True)})

    def predict(self, predictions: Mapping[str, npt.ArrayLike]) -> Floats:
        """Return the weighted mean of the models' answers, of their shape; a model of weight 0 may be left out.

        Raises:
            InvalidInput: a model that has a weight gave no answers, or the shapes differ.
        """
        used = {name: weight for name, weight in self.weights.items() if weight}
        missing = [name for name in used if name not in predictions]
        if missing:
            msg = f"The blend needs the answers of {', '.join(missing)}; there are those of {', '.join(predictions) or 'nobody'}."
            raise InvalidInput(msg, field=missing[0])
        answers = _stacked({name: predictions[name] for name in used})
        return np.asarray(np.tensordot(np.array(list(used.values())), answers, axes=1))


def _stacked(predictions: Mapping[str, npt.ArrayLike]) -> Floats:
    arrays = [np.asarray(given, dtype=np.float64) for given in predictions.values()]
    if len({array.shape for array in arrays}) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(predictions, arrays, strict=True))
        msg = f"The models' answers have the shapes: {shapes or 'none'}. Expected one shape, and at least one model."
        raise InvalidInput(msg, field="predictions")
    return np.stack(arrays)


def _swept(loss: Callable[[Floats], float], weights: Floats) -> Floats:
    """Return weights that no pair of models can share better."""
    value = loss(weights)
    for _ in range(_SWEEPS):
        before = value
        for one, other in combinations(range(len(weights)), 2):
            weights, value = _shared(loss, weights, value, one, other)
        if before - value <= _LEAST_GAIN * max(1.0, abs(before)):
            break
    return weights


def _shared(
    loss: Callable[[Floats], float], weights: Floats, value: float, one: int, other: int
) -> tuple[Floats, float]:
    """Return the weights in which two models share what they have together best, and the loss."""
    total = weights[one] + weights[other]

    def at(share: float) -> Floats:
        moved = weights.copy()
        moved[one], moved[other] = share * total, (1 - share) * total
        return moved

    places = np.linspace(0, 1, _PLACES)
    losses = [loss(at(place)) for place in places]
    best = int(np.argmin(losses))
    share, found = _narrowed(
        lambda place: loss(at(place)), places[max(0, best - 1)], places[min(_PLACES - 1, best + 1)]
    )
    if losses[best] < found:
        share, found = float(places[best]), losses[best]
    return (at(share), found) if found < value else (weights, value)


def _narrowed(loss: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Return where between two places a loss is least, by golden sections."""
    for _ in range(_NARROWINGS):
        inner = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(inner[0]) <= loss(inner[1]):
            high = inner[1]
        else:
            low = inner[0]
    middle = (low + high) / 2
    return middle, loss(middle)
