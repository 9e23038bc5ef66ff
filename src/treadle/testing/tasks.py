"""What every kind of question (task) must do with targets and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput, RunFailed
from treadle.core.ids import canonical
from treadle.training.task import Task

_FRAME = pl.DataFrame({"x": [0.0, 1.0, 0.0, 1.0]})
_TARGET = pl.Series("y", [0, 1, 0, 1])


def check_declaration_is_plain(task: Task) -> None:
    """The declaration is plain values, and says which task it is."""
    assert canonical(task.spec())
    assert task.spec()["task"] == task.name


def check_metric_is_among_the_metrics(task: Task) -> None:
    """The deciding metric is one of those reported."""
    assert task.metric in task.metrics


def check_outputs(task: Task) -> None:
    """An answer has a column `prediction`, and no two columns of one name."""
    names = [field.name for field in task.outputs]
    assert "prediction" in names
    assert len(set(names)) == len(names)


def check_target_becomes_numbers(task: Task) -> None:
    """A target becomes finite numbers, one for each row."""
    y = task.target(_TARGET)

    assert y.shape == (4,)
    assert y.dtype.kind in "if"
    assert np.isfinite(y).all()


def check_missing_targets_are_refused(task: Task) -> None:
    """A null, and a column of lists, are refused; the error names the column."""
    for series in (pl.Series("y", [0, None, 1]), pl.Series("y", [[1], [2]])):
        with pytest.raises(InvalidInput, match="'y'"):
            task.target(series)


def check_functions_and_estimators_answer(task: Task) -> None:
    """A plain function and an estimator give float64 of shape (rows,), also from an array of shape (rows, 1)."""
    for answer in (
        lambda frame: frame["x"],
        lambda frame: frame["x"].to_numpy().astype(np.float32),
        lambda frame: frame["x"].to_numpy()[:, None],
        _Fitted(),
    ):
        found = task.predictions(answer, _FRAME)
        assert found.shape == (4,)
        assert found.dtype == np.float64
        assert found.tolist() == [0.0, 1.0, 0.0, 1.0]


def check_no_rows_are_fine(task: Task) -> None:
    """No rows get no predictions."""
    assert task.predictions(lambda frame: frame["x"], _FRAME.head(0)).shape == (0,)


def check_bad_answers_are_refused(task: Task) -> None:
    """NaN, infinity, text and a wrong number of rows are refused, with the first bad row where there is one."""
    bad: list[tuple[Any, str]] = [
        (np.array([0.5, 0.5, np.nan, np.nan]), "row 2"),
        (np.array([0.5, np.inf, 0.5, 0.5]), "row 1"),
        (np.array(["a", "b", "c", "d"]), "number"),
        (np.zeros(3), "4 rows"),
        (np.zeros((4, 3)), "4 rows"),
        (None, "None"),
    ]
    for answer, expected in bad:
        error = _refused(task, lambda _, answer=answer: answer)
        assert expected in str(error), error


def check_what_cannot_answer_is_refused(task: Task) -> None:
    """Nothing, a number, and a class instead of an object of it are refused, and named."""
    for given, expected in ((None, "None"), (3, "3"), (_Fitted, "_Fitted")):
        error = _refused(task, given)
        assert expected in str(error), error


class _Fitted:
    """A fitted estimator for both kinds of question."""

    classes_ = np.array([0, 1])

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        return frame["x"].to_numpy()

    def predict_proba(self, frame: pl.DataFrame) -> np.ndarray:
        p = frame["x"].to_numpy()
        return np.column_stack([1 - p, p])


def _refused(task: Task, estimator: Any) -> RunFailed:
    with pytest.raises(RunFailed) as caught:
        task.predictions(estimator, _FRAME)
    return caught.value


#: All checks; each takes a task that accepts the target 0, 1, 0, 1.
CHECKS = (
    check_declaration_is_plain,
    check_metric_is_among_the_metrics,
    check_outputs,
    check_target_becomes_numbers,
    check_missing_targets_are_refused,
    check_functions_and_estimators_answer,
    check_no_rows_are_fine,
    check_bad_answers_are_refused,
    check_what_cannot_answer_is_refused,
)
