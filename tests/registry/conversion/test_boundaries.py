import numpy as np

from treadle.core.signature import Field, Signature
from treadle.registry.conversion.boundaries import boundary_rows

SIGNATURE = Signature(
    inputs=(
        Field(name="temp", kind="float"),
        Field(name="wind", kind="float", nullable=True),
        Field(name="hour", kind="integer"),
        Field(name="tail", kind="string", nullable=True),
    )
)
GIVEN = {
    "temp": np.array([50, 60], dtype=np.float32),
    "wind": np.array([5, 6], dtype=np.float32),
    "hour": np.array([7, 8]),
    "tail": np.array(["N1", "N2"], dtype=object),
}


def test_a_split_is_tried_at_its_value_and_on_both_sides():
    split = 0.1  # lies between two float32

    found = boundary_rows(SIGNATURE, GIVEN, {"temp": [split]})["splits"]["temp"]

    near = np.float32(split)
    assert {near, np.nextafter(near, np.float32(-1)), np.nextafter(near, np.float32(1))} <= set(
        found.tolist()
    )
    assert (found.astype(np.float64) <= split).any()
    assert (found.astype(np.float64) > split).any()


def test_whole_numbers_are_tried_below_and_above_a_split():
    found = boundary_rows(SIGNATURE, GIVEN, {"hour": [11.5]})["splits"]["hour"]

    assert set(found.tolist()) == {10, 11, 12, 13}


def test_missing_values_and_unseen_categories_are_tried_where_they_may_come():
    found = boundary_rows(SIGNATURE, GIVEN, {})

    assert np.isnan(found["missing"]["wind"]).any()
    assert not np.isnan(found["missing"]["temp"]).any()
    assert "" in found["missing"]["tail"]
    assert found["unseen"]["tail"].tolist() == ["a category that training has not seen"]
    assert "splits" not in found


def test_a_row_differs_from_a_given_one_in_one_input():
    found = boundary_rows(SIGNATURE, GIVEN, {"temp": [0.1, 3.0], "hour": [11.5]})["splits"]

    given = {tuple(GIVEN[name][row] for name in GIVEN) for row in range(2)}
    for row in zip(*(found[name].tolist() for name in GIVEN), strict=True):
        assert min(sum(a != b for a, b in zip(row, other, strict=True)) for other in given) == 1


def test_splits_without_number_are_passed_over():
    found = boundary_rows(SIGNATURE, GIVEN, {"temp": [np.inf, 1e300], "hour": [np.inf]})

    assert "splits" not in found
