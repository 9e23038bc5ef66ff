"""Multi-label classification: what a target may hold, and what an answer is."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier

from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.training.tasks.multilabel import Multilabel

TAGS = pl.Series("tags", ["slow|bill", "none", "login", "bill", "bill| slow", ""])
RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(120, 3)).astype(np.float32)
Y = (X + 0.5 * RANDOM.normal(size=X.shape) > 0.3).astype(int)
FRAME = pl.DataFrame({name: X[:, place] for place, name in enumerate("abc")})


def test_the_labels_are_those_of_the_training_rows_in_order() -> None:
    fitted = Multilabel().fitted(TAGS)

    assert fitted.labels == ("bill", "login", "slow")
    assert fitted.target(TAGS).tolist() == [
        [1, 0, 1],
        [0, 0, 0],
        [0, 1, 0],
        [1, 0, 0],
        [1, 0, 1],
        [0, 0, 0],
    ]
    assert fitted.outputs[-1].columns == fitted.labels
    assert fitted.knows(pl.Series(["bill", "none", "bill|new", None])).to_list() == [True, True, False, True]


def test_declared_labels_stay_and_texts_may_be_written_otherwise() -> None:
    task = Multilabel(labels=["b", "a"], separator=" ", none="-").fitted(pl.Series("y", ["a"]))

    assert task.labels == ("b", "a")
    assert task.target(pl.Series("y", ["a b", "-", "b"])).tolist() == [[1, 1], [0, 0], [1, 0]]
    with pytest.raises(InvalidInput, match="'a z' in row 0. Expected labels of b, a, or '-'"):
        task.target(pl.Series("y", ["a z"]))


@pytest.mark.parametrize(
    "given",
    [
        {"labels": "abc"},
        {"labels": ["a"]},
        {"labels": ["a", "a"]},
        {"labels": ["a", 1]},
        {"labels": ["a", " b"]},
        {"labels": ["a|b", "c"]},
        {"labels": ["a", "none"]},
        {"labels": None},
        {"separator": ""},
        {"none": 3},
        {"none": "no|label"},
        {"none": " none "},
    ],
)
def test_what_cannot_be_told_apart_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(InvalidDeclaration, match=r"Multilabel\("):
        Multilabel(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (pl.Series("y", [1, 2]), "is Int64. Expected texts"),
        (pl.Series("y", [["a"], ["b"]]), "Expected texts"),
        (pl.Series("y", ["a|b", None]), "no value in row 1"),
        (pl.Series("y", ["a", "none"]), "1 different labels .*td.Classification"),
        (pl.Series("y", ["none"]), "0 different labels"),
        (pl.Series("y", ["a|none", "b"]), "'none' beside other labels"),
        (pl.Series("y", [f"id{place}" for place in range(1001)]), "1,001 different labels"),
    ],
)
def test_other_targets_are_refused(target: pl.Series, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Multilabel().fitted(target)


def test_rows_that_are_all_the_same_are_nothing_to_learn() -> None:
    task = Multilabel(labels=["a", "b"])

    with pytest.raises(InvalidInput, match="'b' in all 2 training rows"):
        task.check_learnable(np.array([[0, 1], [0, 1]]), target="y")
    task.check_learnable(np.array([[0, 1], [1, 1]]), target="y")


@pytest.mark.parametrize(
    "estimator",
    [
        OneVsRestClassifier(LogisticRegression()),
        MultiOutputClassifier(LogisticRegression()),
        RandomForestClassifier(n_estimators=5, random_state=0),
        MLPClassifier(hidden_layer_sizes=(4,), max_iter=5, random_state=0),
    ],
    ids=lambda one: type(one).__name__,
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_both_shapes_of_probabilities_are_one_answer(estimator) -> None:  # type: ignore[no-untyped-def]
    fitted = estimator.fit(FRAME, Y)
    given = fitted.predict_proba(FRAME)
    expected = np.column_stack([one[:, 1] for one in given]) if isinstance(given, list) else given

    found = Multilabel(labels=["a", "b", "c"]).predictions(fitted, FRAME)

    assert found.shape == (120, 3)
    assert found.tolist() == expected.tolist()


def test_a_label_that_never_changed_is_certain() -> None:
    always, never = Y.copy(), Y.copy()
    always[:, 1], never[:, 1] = 1, 0

    for y, expected in ((always, 1.0), (never, 0.0)):
        for estimator in (
            RandomForestClassifier(n_estimators=2),
            MultiOutputClassifier(RandomForestClassifier(2)),
        ):
            task = Multilabel(labels=["a", "b", "c"])
            found = task.predictions(estimator.fit(FRAME, y), FRAME)
            assert set(found[:, 1]) == {expected}


def test_a_list_of_estimators_is_one_for_each_label() -> None:
    task = Multilabel(labels=["a", "b", "c"])
    each = [LogisticRegression().fit(FRAME, column) for column in Y.T]

    found = task.predictions(each, FRAME)

    assert (
        found.tolist()
        == task.predictions(MultiOutputClassifier(LogisticRegression()).fit(FRAME, Y), FRAME).tolist()
    )
    with pytest.raises(
        RunFailed, match="2 estimators for 3 labels. Expected one for each, in this order: a, b, c"
    ):
        task.predictions(each[:2], FRAME)


def test_what_is_no_probability_of_each_label_is_refused() -> None:
    task = Multilabel(labels=["a", "b", "c"])
    others = RandomForestClassifier(n_estimators=2).fit(FRAME, Y + 1)

    with pytest.raises(RunFailed, match=r"label 'a'.*values \[1, 2\]. Expected no and yes"):
        task.predictions(others, FRAME)
    with pytest.raises(RunFailed, match="1.5 for row 1"):
        task.predictions(lambda frame: [[0.5, 0.5, 1.0], [0.5, 1.5, 0.0]], FRAME.head(2))
    with pytest.raises(RunFailed, match="2 labels. Expected 3"):
        task.predictions(RandomForestClassifier(2).fit(FRAME, Y[:, :2]), FRAME)


def test_contenders_of_other_labels_are_compared_over_all_of_them() -> None:
    wide = Multilabel().over([["a", "b"], ["b", "d"]], pl.Series("y", ["a", "z|a", "none"]))

    assert wide.labels == ("a", "b", "d", "z")
    assert wide.target(pl.Series("y", ["a", "z|a", "none"])).tolist() == [
        [1, 0, 0, 0],
        [1, 0, 0, 1],
        [0, 0, 0, 0],
    ]
