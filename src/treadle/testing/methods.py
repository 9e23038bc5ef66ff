"""What every method of comparison must do: say what it fits, and put an interval round a difference."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType

import numpy as np

from treadle.evaluation.intervals import interval
from treadle.evaluation.measures import metric
from treadle.evaluation.pair import Pair

_ROWS = 400
#: A mean, a share of hits, a rank, a ratio, and a root.
_METRICS = ("log_loss", "accuracy", "roc_auc", "f1", "rmse")


def check_declaration(module: ModuleType) -> None:
    """It says its name and its rank."""
    assert module.__name__.rpartition(".")[2] == module.NAME
    assert isinstance(module.RANK, int)


def check_it_fits_something_and_says_what_not(module: ModuleType) -> None:
    """There is a pair that it can compare; of one that it cannot, it says why."""
    told = [module.unfit(pair) for pair in _pairs()]

    assert "" in told
    assert all(isinstance(why, str) for why in told)


def check_interval_holds_the_difference(module: ModuleType) -> None:
    """The ends are finite, in order, and round the difference."""
    for pair in _fitting(module):
        low, high = module.ends(pair, alpha=0.05)

        assert math.isfinite(low)
        assert low < pair.difference < high


def check_more_confidence_is_wider(module: ModuleType) -> None:
    """A smaller alpha gives an interval that holds the other."""
    for pair in _fitting(module):
        narrow, wide = module.ends(pair, alpha=0.2), module.ends(pair, alpha=0.01)

        assert wide[0] < narrow[0] < narrow[1] < wide[1]


def check_swapping_turns_it_round(module: ModuleType) -> None:
    """The second beside the first is the same interval, turned round."""
    for pair in _fitting(module):
        assert pair.second is not None
        swapped = replace(pair, first=pair.second, second=pair.first)

        low, high = module.ends(pair, alpha=0.05)

        assert np.allclose(module.ends(swapped, alpha=0.05), (-high, -low), atol=1e-9)


def check_a_model_equals_itself(module: ModuleType) -> None:
    """A predictor beside itself differs by exactly nothing."""
    for pair in _fitting(module):
        found = interval(replace(pair, second=pair.first.copy()), method=module.NAME)

        assert (found.low, found.difference, found.high) == (0.0, 0.0, 0.0)


def _fitting(module: ModuleType) -> list[Pair]:
    return [pair for pair in _pairs() if not module.unfit(pair)]


def _pairs() -> list[Pair]:
    """Return a pair for each kind of metric, plain, in groups, and as forecasts."""
    random = np.random.default_rng(3)
    signal = random.normal(size=_ROWS)
    chances = [1 / (1 + np.exp(-signal - random.normal(size=_ROWS) / 2)) for _ in range(2)]
    sides = {
        "classification": ((random.random(_ROWS) < 1 / (1 + np.exp(-signal))).astype(float), *chances),
        "regression": (signal, *(signal + random.normal(size=_ROWS) for _ in range(2))),
    }
    found = []
    for name in _METRICS:
        measure = metric(name)
        for task in set(measure.tasks) & set(sides):
            y, first, second = sides[task]
            plain = Pair(measure=measure, y=y, first=first, second=second)
            moments = np.arange(_ROWS) // 2
            found += [
                plain,
                replace(plain, groups=np.arange(_ROWS) // 3),
                replace(plain, times=moments, horizon=4),
            ]
    return found


CHECKS = (
    check_declaration,
    check_it_fits_something_and_says_what_not,
    check_interval_holds_the_difference,
    check_more_confidence_is_wider,
    check_swapping_turns_it_round,
    check_a_model_equals_itself,
)
