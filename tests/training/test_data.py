"""Training data: what the function gets is what the server feeds."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.core.records import Window
from treadle.training.data import TrainingData
from treadle.training.tasks.classification import Classification
from treadle.training.tasks.regression import Regression

WINDOW = Window(start=None, end=datetime(2013, 2, 1, tzinfo=UTC))
FRAME = pl.DataFrame(
    {
        "carrier": ["UA", None, "AA", "UA", "B6"],
        "distance": [100, 200, 300, 400, 500],
        "seats": [10, None, 30, 40, 50],
        "temp": [1.5, 2.5, None, 4.5, 0.1],
        "when": [datetime(2013, 1, day, tzinfo=UTC) for day in range(1, 6)],
        "late": [True, False, True, False, True],
        "_split": ["train", "train", "validation", "train", "test"],
    }
)


def build(frame: pl.DataFrame = FRAME, **changes: object) -> TrainingData:
    arguments = {"target": "late", "task": Classification(), "window": WINDOW, **changes}
    return TrainingData.build(frame, **arguments)  # type: ignore[arg-type]


def test_rows_go_by_their_split_and_test_rows_go_nowhere() -> None:
    data = build()

    assert (len(data.train), len(data.validation)) == (3, 1)
    assert data.train.frame["distance"].to_list() == [100, 200, 400]
    assert data.train.y.tolist() == [1, 0, 0]
    assert data.validation.y.tolist() == [1]


def test_rows_weigh_half_as_much_for_each_half_life_before_the_end() -> None:
    week = Window(start=None, end=datetime(2013, 1, 8, tzinfo=UTC), half_life=7 * 86400.0)

    weights = build(window=week, time="when").train.weights

    assert weights == pytest.approx([0.5, 0.5 ** (6 / 7), 0.5 ** (4 / 7)])
    assert build().train.weights.tolist() == [1, 1, 1]
    with pytest.raises(InvalidInput, match="no column 'at'"):
        build(window=week, time="at")


def test_columns_have_the_types_that_the_server_feeds() -> None:
    data = build()

    kinds = {
        "carrier": pl.String,
        "distance": pl.Int64,
        "seats": pl.Float32,
        "temp": pl.Float32,
        "when": pl.Int64,
    }
    assert dict(data.train.X.schema) == kinds
    assert data.inputs == tuple(kinds)
    assert data.train.X["carrier"].to_list() == ["UA", "", "UA"]
    assert np.isnan(data.train.X["seats"][1])
    assert [field.name for field in data.signature.outputs] == ["prediction", "probability"]


def test_the_same_bits_come_out_of_training_and_of_the_signature() -> None:
    data = build()

    encoded = data.signature.encode(data.train.frame)

    assert data.train.X["temp"].to_numpy().tobytes() == encoded["temp"].tobytes()
    assert data.encoded(FRAME)["temp"].to_numpy().tobytes() == data.signature.encode(FRAME)["temp"].tobytes()


def test_inputs_may_be_missing_when_any_row_or_the_caller_says_so() -> None:
    nullable = {field.name for field in build().signature.inputs if field.nullable}
    declared = {field.name for field in build(nullable=["distance"]).signature.inputs if field.nullable}

    assert nullable == {"carrier", "seats", "temp"}
    assert declared == nullable | {"distance"}


def test_levels_of_a_category_are_those_of_the_training_rows() -> None:
    frame = FRAME.with_columns(pl.col("carrier").fill_null("DL").cast(pl.Categorical))

    data = build(frame, inputs=["carrier"])

    assert data.signature.field("carrier").levels == ("DL", "UA")


def test_no_validation_rows_are_legal() -> None:
    data = build(FRAME.filter(pl.col("_split") == "train"))

    assert len(data.validation) == 0
    assert data.validation.X.columns == data.train.X.columns
    assert data.validation.y.dtype == data.train.y.dtype


@pytest.mark.parametrize(
    ("frame", "changes", "said"),
    [
        (FRAME.drop("_split"), {}, "no split"),
        (FRAME, {"target": "lat"}, "Did you mean 'late'"),
        (FRAME, {"inputs": ["distnace"]}, "Did you mean 'distance'"),
        (FRAME, {"inputs": ["late"]}, "told the answer"),
        (FRAME, {"inputs": ["temp", "temp"]}, "named twice"),
        (FRAME.filter(pl.col("_split") == "test"), {}, "no rows to train on"),
        (FRAME.filter(pl.col("late")), {}, "positive in all 1 training rows"),
        (FRAME.with_columns(late=None), {}, "no value in row 0"),
        (FRAME.with_columns(temp=pl.lit([1])), {}, "which a model cannot take"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    frame: pl.DataFrame, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        build(frame, **changes)


class _Both(Regression):
    """A task whose truth is two numbers a row."""

    def target(self, target: pl.Series) -> np.ndarray:
        return np.column_stack([super().target(target), -super().target(target)])


def test_a_truth_may_be_several_numbers() -> None:
    data = build(target="distance", task=_Both())

    assert data.train.y.tolist() == [[100, -100], [200, -200], [400, -400]]
    assert data.validation.y.tolist() == [[300, -300]]
    assert (len(data.train), len(data.validation)) == (3, 1)
    without = FRAME.filter(pl.col("_split") == "train")
    assert build(without, target="distance", task=_Both()).validation.y.shape == (0, 2)
