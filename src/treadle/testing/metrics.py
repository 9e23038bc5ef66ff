"""What every metric must do: be one number, the same by each of its ways, whatever the order of the rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats
from treadle.evaluation.bootstrap import paired
from treadle.evaluation.intervals import interval
from treadle.evaluation.measures import Measure
from treadle.evaluation.pair import Pair

_ROWS = 300
#: The quantiles of 0.1, 0.5 and 0.9 of a standard normal distribution.
_NORMAL = np.array([-1.2816, 0.0, 1.2816])


def check_declaration(module: ModuleType) -> None:
    """It says its name, its task and which way is better."""
    assert module.__name__.rpartition(".")[2] == module.NAME
    assert Measure(module).tasks
    assert isinstance(module.GREATER_IS_BETTER, bool)
    assert Measure(module).spec() == {"metric": module.NAME}


def check_better_predictions_have_a_better_value(module: ModuleType) -> None:
    """Predictions that are right are better than others, by the direction that it declares."""
    for measure, y, p in _cases(module):
        gain = measure.value(y, _right(module, y, p)) - measure.value(y, p)

        assert gain > 0 if module.GREATER_IS_BETTER else gain < 0


def check_values_lie_within_their_bounds(module: ModuleType) -> None:
    """No value lies beyond the bounds that it states, and neither do the ends of the interval of one predictor."""
    for measure, y, p in _cases(module):
        least, greatest = measure.bounds
        for given in (p, _right(module, y, p)):
            found = interval(Pair(measure=measure, y=y, first=given))

            assert least <= found.first <= greatest
            assert math.isnan(found.low) or least <= found.low <= found.high <= greatest


def check_order_does_not_matter(module: ModuleType) -> None:
    """The rows' order changes nothing."""
    for measure, y, p in _cases(module):
        assert measure.value(y[::-1], p[::-1]) == pytest.approx(measure.value(y, p), rel=1e-12)


def check_a_weight_is_a_repetition(module: ModuleType) -> None:
    """A row of weight 2 counts as much as two rows, one of weight 0 as none; equal weights change nothing."""
    for measure, y, p in _cases(module):
        weight, repeated, outcomes = _repeated(measure, y)

        assert measure.value(y, p, weight) == pytest.approx(measure.value(outcomes, p[repeated]), rel=1e-12)
        if not getattr(module, "COUNTED", False):
            half = measure.value(y, p, np.full(_ROWS, 0.5))
            assert half == pytest.approx(measure.value(y, p), rel=1e-12)


def check_ways_agree(module: ModuleType) -> None:
    """What it offers to be computed fast gives the same value."""
    for measure, y, p in _cases(module):
        weight = (np.arange(_ROWS) % 4).astype(np.float64)
        expected = pytest.approx(measure.value(y, p, weight), rel=1e-9)

        assert measure.prepare(y, p)(weight) == expected
        if measure.terms is not None:
            assert measure.combine(weight @ measure.terms(y, p) / weight.sum()) == expected
        if measure.per_row is not None:
            assert float(np.mean(measure.per_row(y, p))) == pytest.approx(measure.value(y, p), rel=1e-12)


def check_a_model_equals_itself(module: ModuleType) -> None:
    """Two equal predictors differ by exactly nothing, and the interval says so."""
    for measure, y, p in _cases(module):
        found = paired(measure, y, first=p, second=p.copy(), draws=50)

        assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)


def check_interval_is_round_the_difference(module: ModuleType) -> None:
    """The interval of two different predictors has a width, and the ends in order."""
    for measure, y, p in _cases(module):
        found = paired(measure, y, first=p, second=p[::-1].copy(), draws=200)

        assert found.low < found.high
        assert found.difference == pytest.approx(found.first - found.second)


def check_one_class_or_one_value(module: ModuleType) -> None:
    """Outcomes that are all the same give a number or NaN, without a warning."""
    for measure, y, p in _cases(module):
        for only in (0.0, 1.0):
            same = np.full(y.shape, only)
            outcomes = np.column_stack([same[:, 0], y[:, 1]]) if _is_ranking(measure) else same
            assert isinstance(measure.value(outcomes, p), float)
            assert not math.isinf(measure.value(outcomes, p))
        assert isinstance(measure.value(y[:1], p[:1]), float)


def check_bad_arrays_are_refused(module: ModuleType) -> None:
    """No rows, other lengths, NaN, infinity, two dimensions and bad weights are refused."""
    for measure, y, p in _cases(module):
        bad = p.copy()
        bad[3] = np.nan

        for outcomes, predictions in (
            (y[:0], p[:0]),
            (y, p[:-1]),
            (y, bad),
            (bad, p),
            (y, p + np.inf),
            (y, p[:, None]),
        ):
            with pytest.raises(InvalidInput):
                measure.value(outcomes, predictions)
        for weight in (np.ones(3), -np.ones(_ROWS), np.zeros(_ROWS)):
            with pytest.raises(InvalidInput):
                measure.value(y, p, weight)


def _cases(module: ModuleType) -> Iterator[tuple[Measure, Floats, Floats]]:
    """Yield the metric with outcomes and predictions of each task that it is for."""
    for task in Measure(module).tasks:
        random = np.random.default_rng(5)
        measure = Measure(module)
        if task == "multiclass":
            p = random.dirichlet(np.ones(4), _ROWS)
            yield measure, (p.cumsum(axis=1) < random.random((_ROWS, 1))).sum(axis=1).astype(np.float64), p
        elif task == "classification":
            p = random.random(_ROWS).round(2)
            yield measure, (random.random(_ROWS) < p).astype(np.float64), p
        elif task == "forecast":
            y = random.normal(size=(_ROWS, 4))
            yield measure, y, y + random.normal(size=y.shape)
        elif task == "multilabel":
            p = random.random((_ROWS, 3)).round(2)
            yield measure, (random.random(p.shape) < p).astype(np.float64), p
        elif task == "quantiles":
            y = random.normal(size=_ROWS)
            # Too low on the left, and much too low on the right: too few rows lie in an interval that is too wide.
            off = np.array([-1.0, 0.5, -0.8]) * random.uniform(0.4, 1.6, (_ROWS, 1))
            yield measure.over(["0.1", "0.5", "0.9"]), y, _NORMAL + off
        elif task == "clustering":
            groups = random.integers(0, 3, _ROWS).astype(np.float64)
            said = np.where(random.random(_ROWS) < 0.8, groups, random.integers(0, 3, _ROWS))
            inputs = np.column_stack([4 * groups, 2 * groups]) + random.normal(size=(_ROWS, 2))
            yield measure, inputs if module.NAME == "simplified_silhouette" else groups, said
        elif task == "embedding":
            inputs = random.normal(size=(_ROWS, 4)) * [3, 2, 1, 1]
            yield measure, inputs, inputs[:, :2] + random.normal(size=(_ROWS, 2))
        elif task == "anomaly":
            p = (random.normal(size=_ROWS) + 0.5).round(1)
            told = (random.random(_ROWS) < 1 / (1 + np.exp(-p))).astype(np.float64)
            yield measure.asked({"scores": True}), told, p
        elif task == "ranking":
            y = np.column_stack([random.integers(0, 3, _ROWS), random.integers(0, 40, _ROWS)]).astype(float)
            yield measure, y, (y[:, 0] + 2 * random.normal(size=_ROWS)).round(1)
        else:
            y = random.normal(size=_ROWS)
            yield measure, y, y + random.normal(size=_ROWS)


def _is_ranking(measure: Measure) -> bool:
    return "ranking" in measure.tasks


def _repeated(measure: Measure, y: Floats) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Return weights of rows, the places of rows that are there so often instead, and the outcomes of these.

    The rows of a query are repeated together, each time as another query.
    """
    if not _is_ranking(measure):
        often = np.arange(len(y)) % 3
        repeated = np.repeat(np.arange(len(y)), often)
        return often.astype(np.float64), repeated, y[repeated]
    weight = np.asarray(y[:, 1] % 3)
    copies = [np.flatnonzero(weight > copy) for copy in range(2)]
    parts = [y[rows] + [0, 1_000 * copy] for copy, rows in enumerate(copies)]
    return weight, np.concatenate(copies), np.concatenate(parts)


def _right(module: ModuleType, y: Floats, p: Floats) -> Floats:
    """Return predictions that are right."""
    if module.NAME == "simplified_silhouette":
        return np.round(y[:, 0] / 4).clip(0, 2)
    if module.NAME == "unexplained":
        return y.copy()
    if _is_ranking(Measure(module)):
        return y[:, 0].copy()
    if p.shape == y.shape:
        return y.copy()
    if "quantiles" in Measure(module).tasks:
        return np.tile(_NORMAL, (len(y), 1))
    return np.asarray(np.eye(p.shape[1])[y.astype(int)])


CHECKS = (
    check_declaration,
    check_better_predictions_have_a_better_value,
    check_values_lie_within_their_bounds,
    check_order_does_not_matter,
    check_a_weight_is_a_repetition,
    check_ways_agree,
    check_a_model_equals_itself,
    check_interval_is_round_the_difference,
    check_one_class_or_one_value,
    check_bad_arrays_are_refused,
)
