"""Classification: what a target may hold, and whose column of probabilities counts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.training.tasks.classification import Classification

FRAME = pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
Y = np.array([0, 0, 1, 1])


@pytest.mark.parametrize(
    "values",
    [
        pl.Series("late", [False, True]),
        pl.Series("late", [0, 1], dtype=pl.UInt8),
        pl.Series("late", [0.0, 1.0]),
    ],
)
def test_booleans_and_zero_or_one_become_integers(values: pl.Series) -> None:
    y = Classification().target(values)

    assert y.tolist() == [0, 1]
    assert y.dtype == np.int64


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Enum(["on time", "late"])])
def test_strings_need_the_positive_one(kind: pl.DataType) -> None:
    values = pl.Series("arrival", ["late", "on time", "late"], dtype=kind)

    assert Classification(positive="late").target(values).tolist() == [1, 0, 1]
    with pytest.raises(InvalidInput, match=r"td\.Classification\(positive='on time'\)"):
        Classification().target(values)


def test_one_class_of_strings_alone_is_legal_in_a_part() -> None:
    assert Classification(positive="yes").target(pl.Series("y", ["no", "no"])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("values", "positive", "said"),
    [
        (["a", "b", "c"], "a", "3 different values"),
        (["a", "b"], "c", "Expected 'c' and one other"),
        ([0, 1, 2], None, r"td\.Regression"),
        ([0.0, float("nan")], None, "Expected 0 and 1"),
        ([True, None], None, "no value in row 1"),
        ([True, False], "yes", "Leave `positive` out"),
    ],
)
def test_other_targets_are_refused(values: list[object], positive: str | None, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        Classification(positive=positive).target(pl.Series("late", values))

    assert caught.value.field == "late"


def test_a_positive_class_that_is_no_string_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="expected one of two strings"):
        Classification(positive=1)  # type: ignore[arg-type]


def test_one_class_alone_cannot_be_learnt() -> None:
    with pytest.raises(InvalidInput, match="negative in all 3 training rows"):
        Classification().check_learnable(np.zeros(3), target="late")


def test_the_positive_class_is_found_wherever_it_stands() -> None:
    fitted = LogisticRegression().fit(FRAME, Y)
    turned = LogisticRegression().fit(FRAME, Y)
    turned.classes_ = np.array([1, 0])

    straight = Classification().predictions(fitted, FRAME)

    assert np.allclose(straight, fitted.predict_proba(FRAME)[:, 1])
    assert np.allclose(Classification().predictions(turned, FRAME), 1 - straight)


def test_an_estimator_fitted_to_the_strings_themselves_works() -> None:
    fitted = LogisticRegression().fit(FRAME, np.array(["a", "a", "z", "z"]))

    assert Classification(positive="a").predictions(fitted, FRAME)[0] > 0.5


def test_an_estimator_fitted_to_other_classes_is_refused() -> None:
    fitted = LogisticRegression().fit(FRAME, np.array(["a", "a", "z", "z"]))

    with pytest.raises(RunFailed, match=r"knows the classes \['a', 'z'\].*data\.train\.y"):
        Classification().predictions(fitted, FRAME)


def test_an_estimator_without_probabilities_is_refused_with_a_way_out() -> None:
    with pytest.raises(RunFailed, match="CalibratedClassifierCV"):
        Classification().predictions(LinearSVC().fit(FRAME, Y), FRAME)


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(RunFailed, match=rf"{wrong} for row 3"):
        Classification().predictions(lambda _: np.array([0, 0.5, 1, wrong]), FRAME)


def test_rounding_beyond_one_is_cut_off() -> None:
    found = Classification().predictions(lambda _: np.array([-1e-8, 0.5, 0.5, 1 + 1e-8]), FRAME)

    assert (found.min(), found.max()) == (0.0, 1.0)
