from __future__ import annotations

import math
from datetime import UTC, date, datetime

import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.features.skew import Example, skew


def compare(served, offline, *, dtype=None, **options):
    frames = [
        pl.DataFrame({"who": [f"{n}" for n in range(len(served))], "x": pl.Series(served, strict=False)}),
        pl.DataFrame({"x": pl.Series(offline, dtype=dtype)}),
    ]
    return skew(*frames, columns=["x"], shown=["who"], **options)[0]


def test_equal_values_have_no_skew() -> None:
    found = compare([1.0, None, 2.0], [1.0, None, 2.0])

    assert (found.rows, found.differing, found.share, found.examples) == (3, 0, 0.0, ())


def test_what_differs_is_counted_and_shown() -> None:
    found = compare([1.0, None, 3.0, 4.0], [1.0, 2.0, None, 5.0])

    assert (found.differing, found.share, found.not_served, found.only_served) == (3, 0.75, 1, 1)
    assert found.examples == (
        Example(row={"who": "1"}, served=None, offline=2.0),
        Example(row={"who": "2"}, served=3.0, offline=None),
        Example(row={"who": "3"}, served=4.0, offline=5.0),
    )


def test_only_so_many_examples_are_shown() -> None:
    found = compare([1.0] * 100, [2.0] * 100, examples=3)

    assert (found.differing, len(found.examples)) == (100, 3)


@pytest.mark.parametrize(
    ("served", "offline"),
    [
        (0.1, 0.1 + 1e-9),
        (float.fromhex("0x1.99999ap-4"), 0.1),
        (math.nan, None),
        (math.inf, math.inf),
        (0.0, -0.0),
        (3.0, 3),
        (True, True),
        (1, True),
        ("2013-01-01T00:00:00Z", datetime(2013, 1, 1, tzinfo=UTC)),
        ("2013-01-01", date(2013, 1, 1)),
        ("AA", "AA"),
        ([0.5, 1.0], [0.5, 1.0]),
    ],
    ids=str,
)
def test_what_json_and_32_bits_do_to_a_value_is_no_skew(served, offline) -> None:
    dtype = pl.List(pl.Float32) if isinstance(offline, list) else None

    assert compare([served], [offline], dtype=dtype).differing == 0


@pytest.mark.parametrize(
    ("served", "offline"),
    [
        (0.1, 0.10001),
        (0.0, 1e-300),
        (-math.inf, math.inf),
        (1e300, math.inf),
        (3.5, 3),
        (2**53 + 1, 2**53),
        (False, True),
        ("AA", "UA"),
        ("2013-01-01T00:00:00Z", datetime(2013, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("tomorrow", datetime(2013, 1, 1, tzinfo=UTC)),
        ([0.5, 1.0], [0.5, 1.5]),
    ],
    ids=str,
)
def test_other_differences_are_skew(served, offline) -> None:
    dtype = pl.List(pl.Float32) if isinstance(offline, list) else None

    assert compare([served], [offline], dtype=dtype).differing == 1


def test_the_worst_column_comes_first() -> None:
    served = pl.DataFrame({"a": [1, 2], "b": [1, 2], "c": [1, 2]})
    offline = pl.DataFrame({"a": [1, 2], "b": [0, 0], "c": [1, 0]})

    assert [one.column for one in skew(served, offline, columns=["a", "b", "c"])] == ["b", "c", "a"]


def test_rows_that_are_not_the_same_are_refused() -> None:
    with pytest.raises(InvalidInput, match="2 served rows cannot be compared with 1"):
        skew(pl.DataFrame({"x": [1, 2]}), pl.DataFrame({"x": [1]}), columns=["x"])
    with pytest.raises(InvalidInput, match="no feature 'y'"):
        skew(pl.DataFrame({"x": [1]}), pl.DataFrame({"x": [1]}), columns=["y"])


def test_nothing_served_is_no_skew() -> None:
    assert compare([], [], dtype=pl.Float64).share == 0.0
