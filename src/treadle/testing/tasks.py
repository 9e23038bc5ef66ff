"""What every kind of question (task) must do with targets and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from treadle.core.answers import shape_of
from treadle.core.errors import InvalidInput, RunFailed
from treadle.core.ids import canonical
from treadle.training.task import Task

_FRAME = pl.DataFrame({"x": [0.0, 1.0, 0.0, 1.0]})
#: What a target of four rows may hold, by task.
_TARGETS = {
    "multilabel": pl.Series("y", ["none", "b", "a", "a|b"]),
    "forecast": pl.Series("y", [[0.0], [1.0], [0.0], [1.0]]),
}
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
    """A target becomes finite numbers, one for each row, or one for each column of an answer."""
    y = task.target(_target(task))

    assert y.shape[0] == 4
    assert y.ndim == 1 or y.shape[1:] == (len(task.fitted(_target(task)).outputs[-1].columns),)
    assert y.dtype.kind in "if"
    assert np.isfinite(y).all()


def check_missing_targets_are_refused(task: Task) -> None:
    """A null, and a column of lists, are refused; the error names the column."""
    for series in (pl.Series("y", [0, None, 1]), pl.Series("y", [[1], [2, 3]])):
        with pytest.raises(InvalidInput, match="'y'"):
            task.target(series)


def check_fitting_keeps_the_question(task: Task) -> None:
    """What the training rows tell a task changes neither its name nor its metrics, and it knows each of these rows."""
    target = _target(task)
    fitted = task.fitted(target)

    assert (fitted.name, fitted.metric, fitted.metrics) == (task.name, task.metric, task.metrics)
    assert fitted.knows(target).all()
    assert fitted.target(target).tolist() == task.target(target).tolist()


def check_contenders_share_their_columns(task: Task) -> None:
    """The question over several contenders has the columns of each, and the truth of every row."""
    target = _target(task)
    columns = task.fitted(target).outputs[-1].columns
    wide = task.over([columns, columns], target)

    assert set(columns) <= set(wide.outputs[-1].columns)
    assert len(wide.target(target)) == 4


def check_functions_and_estimators_answer(task: Task) -> None:
    """A plain function and an estimator give float64 of one number a row, or of one for each column."""
    task = task.fitted(_target(task))
    expected = _answer(task, _FRAME)
    answers: list[Any] = [
        lambda frame: _answer(task, frame),
        lambda frame: _answer(task, frame).astype(np.float32),
        _Fitted(task),
    ]
    if expected.ndim == 1:
        answers += [lambda frame: frame["x"], lambda frame: frame["x"].to_numpy()[:, None]]
    for answer in answers:
        found = task.predictions(answer, _FRAME)
        assert found.shape == shape_of(task.outputs[-1].columns, 4)
        assert found.dtype == np.float64
        assert np.array_equal(found, expected)


def check_no_rows_are_fine(task: Task) -> None:
    """No rows get no predictions."""
    task = task.fitted(_target(task))

    found = task.predictions(lambda frame: _answer(task, frame), _FRAME.head(0))

    assert found.shape == shape_of(task.outputs[-1].columns, 0)


def check_bad_answers_are_refused(task: Task) -> None:
    """NaN, infinity, text and a wrong number of rows or columns are refused, with the first bad row where there is one."""
    task = task.fitted(_target(task))
    good = _answer(task, _FRAME)
    first = (slice(None),) if good.ndim == 1 else (slice(None), 0)
    missing, endless = good.copy(), good.copy()
    missing[first] = np.where(np.arange(4) > 1, np.nan, missing[first])
    endless[first] = np.where(np.arange(4) == 1, np.inf, endless[first])
    bad: list[tuple[Any, str]] = [
        (missing, "row 2"),
        (endless, "row 1"),
        (np.full(good.shape, "a"), "number"),
        (good[:3], "4 rows"),
        (np.zeros((4, 13)), "4 rows"),
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
    """A fitted estimator for every kind of question."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.classes_ = np.array([0, 1])

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        return _answer(self._task, frame)

    def score_samples(self, frame: pl.DataFrame) -> np.ndarray:
        answer = _answer(self._task, frame)
        return -answer if self._task.outputs[-1].turned == "negated" else answer

    def transform(self, frame: pl.DataFrame) -> np.ndarray:
        return _answer(self._task, frame)

    def predict_proba(self, frame: pl.DataFrame) -> np.ndarray:
        if self._task.outputs[-1].independent:
            return _answer(self._task, frame)
        p = frame["x"].to_numpy()
        return np.column_stack([1 - p, p])


def _target(task: Task) -> pl.Series:
    return _TARGETS.get(task.name, _TARGET)


def _answer(task: Task, frame: pl.DataFrame) -> np.ndarray:
    """Return numbers as the task asks for: of classes a distribution, of labels probabilities, else numbers that rise."""
    x, output = frame["x"].to_numpy(), task.outputs[-1]
    if not output.columns:
        return x
    if output.independent:
        return np.column_stack([x / (1 + place) for place in range(len(output.columns))])
    if output.name == "probabilities":
        return np.column_stack([1 - x, x])
    return np.column_stack([x + place for place in range(len(output.columns))])


def _refused(task: Task, estimator: Any) -> RunFailed:
    with pytest.raises(RunFailed) as caught:
        task.predictions(estimator, _FRAME)
    return caught.value


#: All checks; each takes a task that accepts the target 0, 1, 0, 1, or one that stands above.
CHECKS = (
    check_declaration_is_plain,
    check_metric_is_among_the_metrics,
    check_outputs,
    check_target_becomes_numbers,
    check_missing_targets_are_refused,
    check_fitting_keeps_the_question,
    check_contenders_share_their_columns,
    check_functions_and_estimators_answer,
    check_no_rows_are_fine,
    check_bad_answers_are_refused,
    check_what_cannot_answer_is_refused,
)
