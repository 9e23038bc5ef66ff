"""What every metric must do: be one number, the same by each of its ways, whatever the order of the rows."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats
from treadle.evaluation.bootstrap import paired
from treadle.evaluation.measures import Measure

_ROWS = 300


def check_declaration(module: ModuleType) -> None:
    """It says its name, its task and which way is better."""
    assert module.__name__.rpartition(".")[2] == module.NAME
    assert Measure(module).tasks
    assert isinstance(module.GREATER_IS_BETTER, bool)
    assert Measure(module).spec() == {"metric": module.NAME}


def check_better_predictions_have_a_better_value(module: ModuleType) -> None:
    """Predictions that are right are better than others, by the direction that it declares."""
    y, p = _rows(module)
    right = y.copy()

    gain = module.value(y, right) - module.value(y, p)

    assert gain > 0 if module.GREATER_IS_BETTER else gain < 0


def check_order_does_not_matter(module: ModuleType) -> None:
    """The rows' order changes nothing."""
    y, p = _rows(module)

    assert module.value(y[::-1], p[::-1]) == pytest.approx(module.value(y, p), rel=1e-12)


def check_a_weight_is_a_repetition(module: ModuleType) -> None:
    """A row of weight 2 counts as much as two rows, one of weight 0 as none; equal weights change nothing."""
    y, p = _rows(module)
    weight = np.arange(_ROWS) % 3
    repeated = np.repeat(np.arange(_ROWS), weight)

    assert module.value(y, p, weight) == pytest.approx(module.value(y[repeated], p[repeated]), rel=1e-12)
    assert module.value(y, p, np.full(_ROWS, 0.5)) == pytest.approx(module.value(y, p), rel=1e-12)


def check_ways_agree(module: ModuleType) -> None:
    """What it offers to be computed fast gives the same value."""
    y, p = _rows(module)
    measure, weight = Measure(module), (np.arange(_ROWS) % 4).astype(np.float64)
    expected = pytest.approx(module.value(y, p, weight), rel=1e-9)

    assert measure.prepare(y, p)(weight) == expected
    if measure.terms is not None:
        assert measure.combine(weight @ measure.terms(y, p) / weight.sum()) == expected
    if measure.per_row is not None:
        assert float(np.mean(measure.per_row(y, p))) == pytest.approx(module.value(y, p), rel=1e-12)


def check_a_model_equals_itself(module: ModuleType) -> None:
    """Two equal predictors differ by exactly nothing, and the interval says so."""
    y, p = _rows(module)

    found = paired(Measure(module), y, first=p, second=p.copy(), draws=50)

    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)


def check_interval_is_round_the_difference(module: ModuleType) -> None:
    """The interval of two different predictors has a width, and the ends in order."""
    y, p = _rows(module)

    found = paired(Measure(module), y, first=p, second=p[::-1].copy(), draws=200)

    assert found.low < found.high
    assert found.difference == pytest.approx(found.first - found.second)


def check_one_class_or_one_value(module: ModuleType) -> None:
    """Outcomes that are all the same give a number or NaN, without a warning."""
    y, p = _rows(module)

    for only in (0.0, 1.0):
        assert isinstance(module.value(np.full(_ROWS, only), p), float)
        assert not math.isinf(module.value(np.full(_ROWS, only), p))
    assert isinstance(module.value(y[:1], p[:1]), float)


def check_bad_arrays_are_refused(module: ModuleType) -> None:
    """No rows, other lengths, NaN, infinity, two dimensions and bad weights are refused."""
    y, p = _rows(module)
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
            module.value(outcomes, predictions)
    for weight in (np.ones(3), -np.ones(_ROWS), np.zeros(_ROWS)):
        with pytest.raises(InvalidInput):
            module.value(y, p, weight)


def _rows(module: ModuleType) -> tuple[Floats, Floats]:
    random = np.random.default_rng(5)
    if module.TASK == "classification":
        p = random.random(_ROWS).round(2)
        return (random.random(_ROWS) < p).astype(np.float64), p
    y = random.normal(size=_ROWS)
    return y, y + random.normal(size=_ROWS)


CHECKS = (
    check_declaration,
    check_better_predictions_have_a_better_value,
    check_order_does_not_matter,
    check_a_weight_is_a_repetition,
    check_ways_agree,
    check_a_model_equals_itself,
    check_interval_is_round_the_difference,
    check_one_class_or_one_value,
    check_bad_arrays_are_refused,
)
