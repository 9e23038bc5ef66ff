"""Regression: what a target may hold."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

from treadle.core.errors import InvalidInput
from treadle.training.tasks.regression import Regression


@pytest.mark.parametrize("kind", [pl.Int32, pl.Float32, pl.Decimal(10, 2)])
def test_numbers_become_float64(kind: pl.DataType) -> None:
    y = Regression().target(pl.Series("minutes", [3, 14]).cast(kind))

    assert y.tolist() == [3.0, 14.0]
    assert y.dtype == np.float64


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1.0, float("inf")], "inf in row 1"),
        ([float("nan")], "nan in row 0"),
        ([1, None], "None in row 1"),
        ([True, False], r"td\.Classification"),
        (["1"], "Expected numbers"),
    ],
)
def test_other_targets_are_refused(values: list[object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Regression().target(pl.Series("minutes", values))


def test_a_fitted_estimator_answers() -> None:
    frame = pl.DataFrame({"x": [0.0, 1.0, 2.0]})
    fitted = LinearRegression().fit(frame, [1.0, 3.0, 5.0])

    assert np.allclose(Regression().predictions(fitted, frame), [1, 3, 5])
