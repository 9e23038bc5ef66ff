from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.evaluation.measures import metric
from treadle.evaluation.snapshots import Snapshot, digest_of_rows


def snapshot(**changes):
    given = {"dataset": "flights", "version": 12, "rows": "sha256:0", "y": np.array([1, 0, 1])}
    return Snapshot(**{**given, **changes})


def test_predictions_of_the_same_rows_are_taken():
    found = snapshot().checked({"candidate": [0.1, 0.2, 0.3], "champion": np.float32([1, 0, 1])})

    assert {name: values.dtype for name, values in found.items()} == {"candidate": float, "champion": float}
    assert len(snapshot()) == 3


def test_predictions_may_be_several_numbers_a_row():
    found = snapshot().checked({"candidate": [[0.1, 0.9], [0.2, 0.8], [0.5, 0.5]]})

    assert found["candidate"].shape == (3, 2)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([0.1, 0.2], "predictions of champion are for 2 rows; the test rows of flights/12 are 3"),
        ([0.1, np.nan, np.inf], "predictions of champion hold nan in row 1, and 1 more"),
        ([0.1, None, 0.3], "predictions of champion hold nan in row 1"),
        ([[[0.1]], [[0.2]], [[0.3]]], r"predictions of champion have the shape \(3, 1, 1\)"),
        (["a", "b", "c"], "predictions of champion are not numbers"),
    ],
)
def test_other_predictions_are_refused_by_the_contenders_name(given, text):
    with pytest.raises(InvalidInput, match=text) as caught:
        snapshot().checked({"candidate": [0.1, 0.2, 0.3], "champion": given})

    assert caught.value.field == "champion"


def test_outcomes_must_be_known():
    with pytest.raises(InvalidInput, match="outcomes of flights/12 hold nan in row 2"):
        snapshot(y=[1, 0, float("nan")])


def test_a_truth_may_be_several_numbers():
    assert snapshot(y=[[1, 0], [0, 0], [1, 1]]).y.tolist() == [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    assert len(snapshot(y=[[1, 0], [0, 0], [1, 1]])) == 3
    for wrong in ([[1, 0], [0, float("nan")], [1, 1]], np.zeros((3, 1, 1))):
        with pytest.raises(InvalidInput, match="outcomes of flights/12"):
            snapshot(y=wrong)


def test_groups_are_one_for_each_row():
    with pytest.raises(InvalidInput, match="flights/12 has 2 groups for 3 rows"):
        snapshot(groups=np.array(["a", "b"]))


def test_the_digest_of_rows_never_changes():
    keys = pl.DataFrame(
        {
            "flight_id": ["UA1", None, "ü"],
            "day": [date(2013, 1, 1)] * 3,
            "at": [datetime(2013, 1, 1, 5, tzinfo=UTC)] * 3,
            "number": [1, -2, 3],
        }
    )

    assert digest_of_rows(keys) == "sha256:0e72db1a3db3fc86582cbd15765acc7e7115394e72a13ac28bcbf84e876e6c3e"


def test_the_digest_tells_rows_apart():
    keys = [["a", "bc"], ["ab", "c"], ["bc", "a"], ["a", "bc", ""], ["a", "bc", None], ["a"], []]
    frames = [pl.DataFrame({"k": values}, schema={"k": pl.String}) for values in keys]
    frames.append(frames[0].rename({"k": "other"}))

    assert len({digest_of_rows(frame) for frame in frames}) == len(frames)


def test_the_digest_does_not_ask_how_a_column_is_stored():
    keys = pl.DataFrame({"k": ["a", "b", "a"], "n": [1, 2, 3]})
    other = keys.cast({"k": pl.Categorical, "n": pl.Int16})

    assert (
        digest_of_rows(keys)
        == digest_of_rows(other)
        == digest_of_rows(pl.concat([keys[:1], keys[1:]], rechunk=False))
    )


def test_a_metric_with_a_scale_is_in_the_unit_of_each_row():
    found = snapshot(y=[[2.0, 4.0], [6.0, 8.0], [1.0, 1.0]], scales=np.array([2.0, 4.0, 1.0]))

    assert found.in_unit(metric("mase"), found.y).tolist() == [[1, 2], [1.5, 2], [1, 1]]
    assert found.in_unit(metric("mae"), found.y) is found.y
    with pytest.raises(InvalidInput, match=r"mase .* flights/12 has none. It is for td.Forecast"):
        snapshot().in_unit(metric("mase"), np.ones(3))
    with pytest.raises(InvalidInput, match="2 scales for 3 rows"):
        snapshot(scales=np.ones(2))
