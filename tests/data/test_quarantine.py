from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest

from treadle.data.quarantine import as_text, quarantined


def raws(frame, *, mixed=()):
    frame = pl.DataFrame(frame)
    reasons, numbers = pl.Series(["r"] * frame.height), pl.int_range(1, frame.height + 1, eager=True)
    places = pl.select(pl.lit("f").alias("_file"), numbers.alias("_row"))
    found = quarantined(frame, reasons, places=places, mixed=mixed)

    assert found.columns == ["_reason", "_file", "_row", "_raw"]
    return [json.loads(text) for text in found["_raw"]]


def test_a_row_is_kept_as_it_landed():
    frame = {"a": ["x"], "n": [2**63 - 1], "b": [True], "f": [0.1], "l": [[1, None]], "nothing": [None]}

    assert raws(frame) == [
        {"a": "x", "n": 2**63 - 1, "b": True, "f": 0.1, "l": [1, None], "nothing": None},
    ]


def test_values_that_json_lacks_are_text():
    frame = {"at": [datetime(2013, 1, 31, 5, tzinfo=UTC)], "bytes": [b"\xff\xfe"], "price": [Decimal("1.50")]}

    assert raws(frame) == [{"at": "2013-01-31 05:00:00.000000+00:00", "bytes": "//4=", "price": 1.5}]


def test_an_infinite_number_does_not_become_a_missing_one():
    frame = {"x": [1.5, float("inf"), None, float("-inf")], "n": [1, 2, 3, 4]}

    assert raws(frame) == [
        {"x": 1.5, "n": 1},
        {"x": "inf", "n": 2},
        {"x": None, "n": 3},
        {"x": "-inf", "n": 4},
    ]


def test_a_short_float_keeps_every_bit():
    (row,) = raws({"x": pl.Series([0.1], dtype=pl.Float32)})

    assert row["x"] == pl.Series([0.1], dtype=pl.Float32).cast(pl.Float64)[0]


def test_cells_of_several_json_types_stay_what_they_were():
    frame = {"n": ["3", '"3"', "[1,2]", None], "s": ["a", "b", "c", "d"]}

    assert [row["n"] for row in raws(frame, mixed={"n"})] == [3, "3", [1, 2], None]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("it's", "'it's'"),
        ("x" * 100, f"'{'x' * 80}'"),
        ("a\r\n\x1b[31m; b", "'a···[31m;b'"),
        (5, "5"),
        (1.5, "1.5"),
        ([1.0, 2.0], "[2 values]"),
        (b"abc", "3 bytes"),
        ({"a": 1}, """'{"a":1}'"""),
        (None, None),
    ],
)
def test_a_cell_is_told_in_a_message_without_harm(cell, told):
    assert as_text(pl.Series([cell]))[0] == told
