"""A question of one's own: what may be declared, and how an estimator is asked."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.ids import canonical
from treadle.core.metric import Metric
from treadle.training.tasks.custom import Custom

FRAME = pl.DataFrame({"x": [0.0, 1.0, 2.0]})


def cost(y, p):
    return abs(y - p)


def gain(y, p):
    return -abs(y - p)


def both(estimator, frame):
    return np.column_stack([estimator.decision_function(frame), frame["x"]])


COST = Metric(cost, greater_is_better=False)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"metrics": []}, "one metric or more"),
        ({"metrics": "mae"}, "one metric or more"),
        ({"metrics": [cost]}, r"Expected td.Metric\(cost, greater_is_better=False\)"),
        ({"metrics": [3]}, "holds 3"),
        ({"metrics": None}, "one metric or more"),
        ({"columns": None}, "columns=None"),
        ({"columns": 0}, "columns=0"),
        ({"ask": lambda estimator, *, rows: rows}, "a function of an estimator and a frame"),
        ({"metrics": ["maee"]}, "'maee'.*Did you mean 'mae'"),
        ({"metrics": [COST, COST]}, "another metric named 'cost'"),
        ({"metrics": [Metric(cost, greater_is_better=False, name="mae")]}, "another metric named 'mae'"),
        ({"ask": "predict it"}, "ask='predict it'"),
        ({"ask": None}, "ask=None"),
        ({"ask": lambda estimator: estimator}, "a function of an estimator and a frame"),
        ({"columns": "low"}, "columns='low'"),
        ({"columns": ["low", "low"]}, "different names"),
        ({"columns": ["low", 3]}, "different names"),
    ],
)
def test_what_cannot_hold_is_refused(arguments, text):
    with pytest.raises(InvalidDeclaration, match=text):
        Custom(**arguments)


def test_the_first_metric_decides():
    task = Custom(metrics=[COST, "mae"])

    assert (task.metric, task.metrics) == ("cost", ("cost", "mae"))


def test_the_declaration_changes_with_the_source_of_its_functions():
    def changed(y, p):
        return 2 * abs(y - p)

    specs = [
        Custom(metrics=[Metric(function, greater_is_better=better, name="cost")], ask=ask).spec()
        for function, better, ask in (
            (cost, False, "predict"),
            (changed, False, "predict"),
            (cost, True, "predict"),
            (cost, False, "decision_function"),
            (cost, False, both),
        )
    ]

    assert len({canonical(spec) for spec in specs}) == 5
    assert Custom(metrics=[COST]).spec() == specs[0]


def test_an_estimator_is_asked_by_the_method_or_the_function_that_is_named():
    fitted = LogisticRegression().fit(FRAME, [0, 0, 1])
    expected = fitted.decision_function(FRAME)

    assert Custom(ask="decision_function").predictions(fitted, FRAME).tolist() == expected.tolist()
    found = Custom(ask=both, columns=["score", "x"]).predictions(fitted, FRAME)
    assert found.tolist() == np.column_stack([expected, FRAME["x"]]).tolist()


def test_what_lacks_the_method_is_refused():
    with pytest.raises(RunFailed, match="Expected a fitted estimator with margin"):
        Custom(ask="margin").predictions(LogisticRegression().fit(FRAME, [0, 0, 1]), FRAME)


def test_an_answer_of_another_shape_is_refused():
    with pytest.raises(RunFailed, match=r"The function both returned an array of shape \(3, 2\)"):
        Custom(ask=both).predictions(LogisticRegression().fit(FRAME, [0, 0, 1]), FRAME)


def test_true_is_one_and_words_are_refused():
    assert Custom().target(pl.Series("y", [True, False])).tolist() == [1.0, 0.0]
    with pytest.raises(InvalidInput, match="'y' is String"):
        Custom().target(pl.Series("y", ["a"]))
