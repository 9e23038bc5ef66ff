"""Answers: the numbers that are scored, and the outputs that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from treadle.core.answers import aligned, completed, numbers, scored, shape_of
from treadle.core.errors import InvalidInput
from treadle.core.signature import Field, Signature


def signature(*outputs: Field) -> Signature:
    return Signature(inputs=(), outputs=outputs)


PROBABILITY = Field(name="probability", kind="float")
CLASSES = Field(name="probabilities", kind="float", columns=("3", "5", "9"))
QUANTILES = Field(name="quantiles", kind="float", columns=("0.1", "0.5"))


def test_yes_and_no_follow_from_a_bound():
    found = completed(
        np.array([0.2, 0.5, 0.6]), signature(Field(name="prediction", kind="boolean"), PROBABILITY)
    )

    assert found["prediction"].tolist() == [False, False, True]
    assert list(found) == ["prediction", "probability"]


def test_the_most_probable_class_is_named_and_of_equals_the_first():
    values = np.array([[0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])

    numbers_said = completed(values, signature(Field(name="prediction", kind="integer"), CLASSES))
    words = completed(values, signature(Field(name="prediction", kind="category"), CLASSES))

    assert numbers_said["prediction"].tolist() == [9, 3]
    assert numbers_said["prediction"].dtype == np.int64
    assert words["prediction"].tolist() == ["9", "3"]


def test_an_output_may_be_one_of_the_scored_numbers():
    middle = Field(name="prediction", kind="float", column="0.5")

    found = completed(np.array([[1.0, 2.0], [3.0, 4.0]]), signature(middle, QUANTILES))

    assert found["prediction"].tolist() == [2.0, 4.0]


def test_the_last_output_is_scored_and_of_no_outputs_the_prediction():
    both = signature(Field(name="prediction", kind="category"), CLASSES)

    assert scored(both) == CLASSES
    assert scored(signature()).name == "prediction"
    assert numbers({"probabilities": np.zeros((2, 3), np.float32)}, both).dtype == np.float64
    assert shape_of(CLASSES.columns, 4) == (4, 3)
    assert shape_of((), 4) == (4,)


def test_columns_are_found_by_name_or_by_place_and_absent_ones_are_nothing():
    values = np.array([[0.3, 0.7]])
    columns = ["cat", "dog", "owl"]

    by_name = aligned(values, ["owl", "cat"], columns=columns, source="Tree")
    by_place = aligned(values, np.array([0, 2]), columns=columns, source="Tree")

    assert by_name.tolist() == [[0.7, 0.0, 0.3]]
    assert by_place.tolist() == [[0.3, 0.0, 0.7]]


@pytest.mark.parametrize("unknown", ["cow", 3, -1, 0.5])
def test_a_column_nobody_knows_is_refused(unknown):
    with pytest.raises(InvalidInput, match=f"Tree knows {unknown!r}. Expected cat, dog"):
        aligned(np.ones((1, 1)), [unknown], columns=["cat", "dog"], source="Tree")
