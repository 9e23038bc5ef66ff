"""Forecasting: what a target may hold, and what an answer is."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression

from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.training.tasks.forecast import Forecast

FRAME = pl.DataFrame({"now": np.arange(30.0)})
Y = np.column_stack([FRAME["now"] + step for step in (1, 2, 3)])


def test_an_answer_is_the_next_step_and_all_of_them() -> None:
    first, last = Forecast(horizon=3).outputs

    assert (first.name, first.column) == ("prediction", "1h")
    assert (last.name, last.columns) == ("forecast", ("1h", "2h", "3h"))


@pytest.mark.parametrize(
    ("every", "named"),
    [("30m", ("30m", "1h", "1h30m")), ("1d", ("1d", "2d", "3d")), ("25h", ("1d1h", "2d2h", "3d3h"))],
)
def test_steps_are_named_by_how_far_ahead_they_are(every: str, named: tuple[str, ...]) -> None:
    assert Forecast(horizon=3, every=every).outputs[-1].columns == named
    assert len(set(Forecast(horizon=1000, every="1m1s").outputs[-1].columns)) == 1000


@pytest.mark.parametrize("kind", [pl.List(pl.Float32), pl.Array(pl.Int64, 2)])
def test_a_target_is_a_number_for_each_step(kind: pl.DataType) -> None:
    found = Forecast(horizon=2).target(pl.Series("y", [[1, 2], [3, 4], [5, 6]], dtype=kind))

    assert found.dtype == np.float64
    assert found.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert Forecast(horizon=2).target(pl.Series("y", [], dtype=kind)).shape == (0, 2)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (pl.Series("y", [1.0, 2.0]), "'y' is Float64. Expected 2 numbers for each row"),
        (pl.Series("y", [["a", "b"]]), "Expected 2 numbers"),
        (pl.Series("y", [[1.0, 2.0], None]), "missing in row 1"),
        (pl.Series("y", [[1.0, 2.0], [1.0, None]]), r"\[1.0, None\] in row 1"),
        (pl.Series("y", [[1.0, float("nan")]]), "row 0"),
        (pl.Series("y", [[1.0, 2.0], [1.0]]), r"\[1.0\] in row 1. Expected 2 finite numbers"),
    ],
)
def test_other_targets_are_refused(target: pl.Series, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Forecast(horizon=2).target(target)


@pytest.mark.parametrize(
    "given",
    [
        {"series": 3},
        {"series": ["a", ""]},
        {"horizon": 0},
        {"horizon": 1.5},
        {"horizon": True},
        {"horizon": 1001},
        {"season": 0},
        {"every": "soon"},
        {"every": "0s"},
        {"every": 1},
        {"series": ["shop", "shop"]},
        {"lags": 3},
        {"lags": [0]},
        {"lags": [1, 1]},
        {"lags": [1.0]},
    ],
)
def test_what_cannot_hold_is_refused_at_declaration(given: dict[str, object]) -> None:
    with pytest.raises(InvalidDeclaration, match=rf"Forecast\({next(iter(given))}="):
        Forecast(**given)  # type: ignore[arg-type]


def test_one_estimator_or_one_for_each_step_answers() -> None:
    task = Forecast(horizon=3)
    each = [LinearRegression().fit(FRAME, column) for column in Y.T]

    together = task.predictions(LinearRegression().fit(FRAME, Y), FRAME)

    assert np.allclose(together, Y)
    assert np.allclose(task.predictions(each, FRAME), Y)
    assert task.predictions(lambda frame: Y[: frame.height], FRAME.head(2)).tolist() == Y[:2].tolist()
    assert task.predictions(RandomForestRegressor(3).fit(FRAME, Y), FRAME).shape == (30, 3)


def test_what_is_no_number_for_each_step_is_refused() -> None:
    task = Forecast(horizon=3)

    with pytest.raises(
        RunFailed, match="2 estimators for 3 steps. Expected one for each, the next step first"
    ):
        task.predictions([LinearRegression().fit(FRAME, Y[:, 0])] * 2, FRAME)
    with pytest.raises(RunFailed, match=r"shape \(30,\) for 30 rows. Expected shape \(30, 3\): 1h, 2h, 3h"):
        task.predictions(LinearRegression().fit(FRAME, Y[:, 0]), FRAME)
    with pytest.raises(RunFailed, match="nan for row 1"):
        task.predictions(lambda frame: [[1, 2, 3], [1, np.nan, 3]], FRAME.head(2))
