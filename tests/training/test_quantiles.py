"""Quantile regression: what may be declared, and how several estimators answer together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.dummy import DummyRegressor

from treadle.core.errors import InvalidDeclaration, RunFailed
from treadle.training.tasks.quantiles import Quantiles

FRAME = pl.DataFrame({"x": [0.0, 1.0]})


def always(value: float) -> DummyRegressor:
    return DummyRegressor(strategy="constant", constant=value).fit(FRAME, [0.0, 1.0])


@pytest.mark.parametrize(
    "levels", [[], "0.5", 0.5, [0.0, 0.5], [0.5, 1.0], [0.9, 0.1], [0.5, 0.5], [1, 2], None]
)
def test_levels_rise_between_0_and_1(levels: object) -> None:
    with pytest.raises(InvalidDeclaration, match="Quantiles"):
        Quantiles(levels=levels)  # type: ignore[arg-type]


def test_the_prediction_is_the_quantile_nearest_to_the_median() -> None:
    assert Quantiles(levels=[0.05, 0.4, 0.95]).outputs[0].column == "0.4"
    assert Quantiles(levels=[0.5, 0.9, 0.99]).outputs[0].column == "0.5"


def test_one_estimator_for_each_level_answers_together() -> None:
    found = Quantiles().predictions([always(1), always(2), lambda frame: frame["x"] + 3], FRAME)

    assert found.tolist() == [[1, 2, 3], [1, 2, 4]]


def test_quantiles_that_cross_are_put_in_order() -> None:
    found = Quantiles().predictions(lambda frame: np.array([[1, 2, 3], [2, 1, 3]]), FRAME)

    assert found.tolist() == [[1, 2, 3], [1, 2, 3]]


def test_quantiles_in_another_order_are_refused() -> None:
    with pytest.raises(
        RunFailed, match="quantiles that fall for 2 of 2 rows. .* order of the levels: 0.1, 0.5, 0.9"
    ):
        Quantiles().predictions([always(3), always(2), always(1)], FRAME)


def test_there_is_an_estimator_for_each_level() -> None:
    with pytest.raises(RunFailed, match="returned 2 estimators for 3 levels"):
        Quantiles().predictions([always(1), always(2)], FRAME)


def test_a_single_level_is_answered_by_a_single_estimator() -> None:
    assert Quantiles(levels=[0.9]).predictions(always(7), FRAME).tolist() == [[7], [7]]
