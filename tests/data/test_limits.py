from __future__ import annotations

import polars as pl
import pytest

from treadle.data.columns import ColumnSpec
from treadle.data.limits import limits


def told(column, *values):
    """What is said of each value that is not legal."""
    cells = pl.DataFrame({"x": pl.Series(values)})
    found = [(words, cells.select(good).to_series().to_list()) for good, words in limits(column)]
    return {
        words: [value for value, good in zip(values, is_good, strict=True) if good is False]
        for words, is_good in found
    }


@pytest.mark.parametrize(
    ("column", "values", "found"),
    [
        (
            ColumnSpec(name="x", kind="int", ge=1, lt=3),
            [0, 1, 3, None],
            {"is below 1": [0], "is not below 3": [3]},
        ),
        (
            ColumnSpec(name="x", kind="float", gt=0.0, le=1.0),
            [0.0, 0.5, 2.0],
            {"is not above 0.0": [0.0], "is above 1.0": [2.0]},
        ),
        (
            ColumnSpec(name="x", kind="bool", allowed=(True,)),
            [True, False, None],
            {"is not one of True": [False]},
        ),
        (
            ColumnSpec(name="x", kind="str", pattern="a|b"),
            ["a", "ab", "b\n", None],
            {"does not match a|b": ["ab", "b\n"]},
        ),
        (
            ColumnSpec(name="x", kind="str", min_length=1, max_length=2),
            ["", "é", "aéb"],
            {"has fewer than 1 characters": [""], "has more than 2 characters": ["aéb"]},
        ),
        (
            ColumnSpec(name="x", kind="vector", length=2),
            [[1.0, 2.0], [1.0], None],
            {"is not of length 2": [[1.0]]},
        ),
    ],
)
def test_each_limit_excludes_what_it_says(column, values, found):
    assert told(column, *values) == found


def test_many_legal_values_are_counted():
    (words,) = told(ColumnSpec(name="x", kind="int", allowed=tuple(range(20))), 30)

    assert words == "is not one of 0, 1, 2, 3, 4, 5, 6, 7, … (20 values)"
