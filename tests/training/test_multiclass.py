"""Multi-class classification: what a target may hold, and what an answer is."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.records import Window
from treadle.training.data import TrainingData
from treadle.training.tasks.classification import Classification
from treadle.training.tasks.multiclass import Multiclass

COLOURS = pl.Series("colour", ["red", "blue", "red", "green"])
END = datetime(2025, 1, 1, tzinfo=UTC)


def test_the_classes_are_those_of_the_training_rows_in_order() -> None:
    fitted = Multiclass().fitted(COLOURS)

    assert fitted.classes == ("blue", "green", "red")
    assert fitted.target(COLOURS).tolist() == [2, 0, 2, 1]
    assert [field.columns for field in fitted.outputs] == [(), ("blue", "green", "red")]
    assert fitted.outputs[0].kind == "category"


def test_integers_are_classes_in_the_order_of_numbers() -> None:
    fitted = Multiclass().fitted(pl.Series("stars", [10, 9, 1, 9]))

    assert fitted.classes == (1, 9, 10)
    assert fitted.target(pl.Series("stars", [10, 1])).tolist() == [2, 0]
    assert fitted.outputs[0].kind == "integer"


def test_declared_classes_stay_whatever_the_rows_hold() -> None:
    fitted = Multiclass(classes=["low", "mid", "high"]).fitted(pl.Series("risk", ["high", "low"]))

    assert fitted.classes == ("low", "mid", "high")
    with pytest.raises(InvalidInput, match="'none' in row 1. Expected one of low, mid, high"):
        fitted.target(pl.Series("risk", ["low", "none"]))


@pytest.mark.parametrize(
    "given", ["abc", [], None, ["a"], ["a", "a"], ["a", 1], [True, False], [1.5, 2.5], [["a"], ["b"]]]
)
def test_what_is_no_list_of_classes_is_refused(given: object) -> None:
    if given == []:
        assert Multiclass(classes=[]) == Multiclass()
        return
    with pytest.raises(InvalidDeclaration, match="Multiclass"):
        Multiclass(classes=given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            pl.Series("y", [True, False]),
            r"Boolean. Expected strings or integers. Two classes are td.Classification",
        ),
        (pl.Series("y", [1.5, 2.0]), r"td.Regression"),
        (pl.Series("y", ["a", None]), "no value in row 1"),
        (pl.Series("y", [f"id{i}" for i in range(1001)]), "1,001 different values"),
    ],
)
def test_other_targets_are_refused(target: pl.Series, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Multiclass().fitted(target)


def test_one_class_only_is_nothing_to_learn() -> None:
    fitted = Multiclass().fitted(pl.Series("y", ["a", "a"]))

    with pytest.raises(InvalidInput, match="'a' in all 2 training rows"):
        fitted.check_learnable(np.array([0, 0]), target="y")


def test_two_classes_send_more_than_two_here() -> None:
    for task in (Classification(), Classification(positive="red")):
        with pytest.raises(InvalidInput, match="td.Multiclass"):
            task.target(COLOURS)


def test_an_estimator_that_lacks_a_class_gives_it_nothing() -> None:
    frame = pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    task = Multiclass(classes=["a", "b", "c"])
    by_place = LogisticRegression().fit(frame, [0, 0, 2, 2])
    by_name = LogisticRegression().fit(frame, ["a", "a", "c", "c"])

    found = task.predictions(by_place, frame)

    assert found.shape == (4, 3)
    assert found[:, 1].tolist() == [0, 0, 0, 0]
    assert found.sum(axis=1) == pytest.approx(1)
    assert np.allclose(task.predictions(by_name, frame), found)


def test_an_estimator_of_other_classes_is_refused() -> None:
    frame = pl.DataFrame({"x": [0.0, 1.0]})

    with pytest.raises(RunFailed, match="knows 'z'. Expected a, b, .*Fit it to data.train.y"):
        Multiclass(classes=["a", "b"]).predictions(LogisticRegression().fit(frame, ["a", "z"]), frame)


def test_numbers_that_do_not_add_up_are_refused() -> None:
    task = Multiclass(classes=["a", "b"])

    with pytest.raises(RunFailed, match="row 1, which adds up to 1.5. Expected a probability for each class"):
        task.predictions(lambda frame: [[0.5, 0.5], [0.5, 1.0]], pl.DataFrame({"x": [1, 2]}))


def test_validation_rows_of_a_class_that_training_lacks_are_left_out() -> None:
    frame = pl.DataFrame(
        {
            "x": range(6),
            "colour": ["a", "b", "a", "b", "c", "a"],
            "_split": ["train"] * 4 + ["validation"] * 2,
        }
    )

    data = TrainingData.build(frame, target="colour", task=Multiclass(), window=Window(start=None, end=END))

    assert data.classes == ("a", "b")
    assert data.train.y.tolist() == [0, 1, 0, 1]
    assert data.validation.y.tolist() == [0]
    assert data.validation.X["x"].to_list() == [5]


def test_contenders_of_other_classes_are_compared_over_all_of_them() -> None:
    wide = Multiclass().over([["a", "b"], ["b", "d"]], pl.Series("y", ["a", "z"]))

    assert wide.classes == ("a", "b", "d", "z")
    assert wide.target(pl.Series("y", ["a", "z"])).tolist() == [0, 3]
