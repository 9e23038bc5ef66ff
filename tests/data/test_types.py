from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.core.errors import ContractBroken
from treadle.data.types import convert, kind_of_dtype, without_nan


def typed(values, kind, *, form="text", dtype=None):
    return convert(pl.Series("x", values, dtype=dtype, strict=False), kind, form=form).to_list()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "42", 42),
        ("int", " -7 ", -7),
        ("int", "3.0", 3),
        ("int", "3.5", None),
        ("int", "9223372036854775807", 2**63 - 1),
        ("int", "9223372036854775808", None),
        ("int", "1e3", 1000),
        ("int", "abc", None),
        ("int", "0x10", None),
        ("int", "1_000", None),
        ("float", "1.5", 1.5),
        ("float", "-1e-3", -0.001),
        ("float", "nan", None),
        ("float", "inf", None),
        ("float", "1,5", None),
        ("bool", "TRUE", True),
        ("bool", "0", False),
        ("bool", "yes", None),
        ("str", " as it is ", " as it is "),
        ("date", "2013-01-31", date(2013, 1, 31)),
        ("date", "31.01.2013", None),
        ("date", "2013-02-30", None),
    ],
)
def test_text_cells(kind, text, value):
    assert typed([text], kind) == [value]


@pytest.mark.parametrize(
    "text",
    [
        "2013-01-31T05:00:00Z",
        "2013-01-31 05:00:00",
        "2013-01-31T05:00",
        "2013-01-31 05:00",
        "2013-01-31T05:00:00.000000",
        "2013-01-31T07:00:00+02:00",
        "2013-01-31 00:00:00-05:00",
        "2013-01-31T00:00:00-0500",
        "2013-01-31T00:00-05:00",
    ],
)
def test_every_way_of_writing_a_moment_is_the_same_moment_in_utc(text):
    assert typed([text], "datetime") == [datetime(2013, 1, 31, 5, tzinfo=UTC)]


def test_ways_of_writing_a_moment_may_be_mixed_in_one_column():
    texts = ["2013-01-31", "x", None, "2013-01-31T00:00:00.000001Z", "0000-01-01T00:00:00Z"]

    assert typed(texts, "datetime") == [
        datetime(2013, 1, 31, tzinfo=UTC),
        None,
        None,
        datetime(2013, 1, 31, 0, 0, 0, 1, tzinfo=UTC),
        None,
    ]


@pytest.mark.parametrize(
    ("text", "is_moment"),
    [
        ("2013-01-31T05:00:00.0000010Z", True),
        ("2013-01-31T05:00:00.000001000+00:00", True),
        ("2013-01-31T05:00:00.0000001Z", False),
        ("2013-01-31 05:00:00.123456789", False),
    ],
)
def test_digits_finer_than_microseconds_are_not_cut(text, is_moment):
    assert (typed([text], "datetime") != [None]) == is_moment


@pytest.mark.parametrize("number", ["1357016400", "1357016400000", "1357016400.5"])
def test_numbers_are_no_moments(number):
    assert typed([number], "datetime") == [None]
    assert typed([float(number)], "datetime", form="typed") == [None]


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "expected"),
    [
        ([1, 2], pl.Int8, "int", [1, 2]),
        ([2**64 - 1], pl.UInt64, "int", [None]),
        ([1.0, 1.5, 1e17], pl.Float64, "int", [1, None, None]),
        (["1"], pl.String, "int", [None]),
        ([1], pl.Int64, "str", [None]),
        ([1], pl.Int64, "bool", [None]),
        ([1.5, float("inf")], pl.Float32, "float", [1.5, None]),
        ([Decimal("1.50")], pl.Decimal(10, 2), "float", [1.5]),
        (["a"], pl.Categorical, "str", ["a"]),
        ([None, None], pl.Null, "float", [None, None]),
        ([date(2013, 1, 31)], pl.Date, "datetime", [datetime(2013, 1, 31, tzinfo=UTC)]),
        ([datetime(2013, 1, 31)], pl.Datetime("ms"), "datetime", [datetime(2013, 1, 31, tzinfo=UTC)]),  # noqa: DTZ001 - a moment without a zone is meant
        ([datetime(2013, 1, 31)], pl.Datetime("us"), "date", [None]),  # noqa: DTZ001 - a moment without a zone is meant
    ],
)
def test_typed_cells_lose_nothing(values, dtype, kind, expected):
    assert typed(values, kind, form="typed", dtype=dtype) == expected


def test_a_moment_finer_than_microseconds_is_refused():
    cells = pl.Series("x", [1_000, 1_001], dtype=pl.Int64).cast(pl.Datetime("ns"))

    assert convert(cells, "datetime", form="typed").is_null().to_list() == [False, True]


def test_nan_in_a_typed_file_is_no_value():
    assert without_nan(pl.Series([1.0, float("nan")])).to_list() == [1.0, None]


def test_a_type_that_no_dataset_holds_is_named():
    with pytest.raises(ContractBroken, match=r"'tags' has the type List\(String\)"):
        kind_of_dtype("tags", pl.List(pl.String))
    with pytest.raises(ContractBroken, match="lists of numbers"):
        kind_of_dtype("blob", pl.Binary())


CANONICAL = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (CANONICAL, CANONICAL),
        (f" {CANONICAL.upper()}\t", CANONICAL),
        (CANONICAL.replace("-", ""), CANONICAL),
        (UUID(CANONICAL).bytes, CANONICAL),
        (b"short", None),
        (f"{{{CANONICAL}}}", None),
        (CANONICAL[:-1], None),
        ("6ba7b8109-dad-11d1-80b4-00c04fd430c8", None),
        (5, None),
        (None, None),
    ],
)
def test_a_uuid_has_one_way_of_being_written(cell, value):
    assert typed([cell], "uuid", form="typed") == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[0.25, -1.5]", [0.25, -1.5]),
        (" [1,2,3] ", [1.0, 2.0, 3.0]),
        ("[1e3]", [1000.0]),
        ("[]", []),
        ("[ ]", []),
        ("1, 2", None),
        ("[1, x]", None),
        ("[1, null]", None),
        ("[1,]", None),
        ("[NaN]", None),
        ("[1e39]", None),
        ("[[1]]", None),
        ("", None),
        (None, None),
    ],
)
def test_text_vectors(text, value):
    assert typed([text, "[1]"], "vector") == [value, [1.0]]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([[1.5, 2.0], [], None], pl.List(pl.Float32), [[1.5, 2.0], [], None]),
        (
            [[1.5, float("inf")], [float("nan")], [None], [1.0]],
            pl.List(pl.Float64),
            [None, None, None, [1.0]],
        ),
        ([[1, 2], None], pl.Array(pl.Int64, 2), [[1.0, 2.0], None]),
        ([[1e39]], pl.List(pl.Float64), [None]),
        ([[], None], pl.List(pl.Null), [[], None]),
        ([["1"]], pl.List(pl.String), [None]),
        (["[1]"], pl.String, [None]),
        ([1.5], pl.Float64, [None]),
    ],
)
def test_typed_vectors(values, dtype, expected):
    assert typed(values, "vector", form="typed", dtype=dtype) == expected


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_a_vector_is_the_same_from_every_kind_of_file(vectors):
    stored = pl.Series("x", vectors, dtype=pl.List(pl.Float32))
    frame = stored.to_frame()
    as_text = frame.select(
        pl.struct("x").struct.json_encode().str.strip_prefix('{"x":').str.strip_suffix("}").alias("x")
    )
    parquet = io.BytesIO()
    frame.write_parquet(parquet)
    parquet.seek(0)

    assert convert(pl.read_parquet(parquet)["x"], "vector", form="typed").equals(stored)
    assert convert(frame["x"].cast(pl.List(pl.Float64)), "vector", form="typed").equals(stored)
    assert convert(as_text["x"], "vector", form="text").equals(stored)
    assert typed([json.dumps(vector) for vector in vectors], "vector") == stored.to_list()
