from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.core.errors import InvalidDeclaration
from treadle.features.packing import (
    ARRIVED,
    AT_ARRIVED,
    AT_FIELDS,
    AT_TIME,
    DTYPES,
    TIME,
    VERSION,
    Layout,
    array_head,
    as_bytes,
    decode,
    from_bytes,
    is_before,
    micros,
    moment,
)

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
MOMENTS = st.datetimes(timezones=st.just(UTC))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "String": st.text(),
    "Boolean": st.booleans(),
    "Float64": st.floats(allow_nan=False),
    "Float32": st.floats(width=32, allow_nan=False),
    "Date": st.dates(),
    "Datetime(time_unit='us', time_zone='UTC')": MOMENTS,
    "List(Float32)": st.lists(st.floats(width=32, allow_nan=False), max_size=40),
}
for bits in (8, 16, 32, 64):
    VALUES[f"Int{bits}"] = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    VALUES[f"UInt{bits}"] = st.integers(0, 2**bits - 1)


def layout(fields: dict[str, str], **changes: Any) -> Layout:
    given_ = {"view": "v", "entities": (("who", "Int64"),), "made_of": {}, **changes}
    return Layout(fields=tuple(fields.items()), **given_)


def frame(
    columns: dict[str, pl.Series], *, times: list[int], arrived: list[int], version: int = 1
) -> pl.DataFrame:
    return pl.DataFrame(columns).with_columns(
        pl.Series(TIME, times, dtype=pl.Int64),
        pl.Series(ARRIVED, arrived, dtype=pl.Int64),
        pl.lit(version, dtype=pl.Int64).alias(VERSION),
    )


def unpack(packed: bytes, made: Layout) -> list[Any]:
    fields = decode(array_head(len(made.fields)) + packed[AT_FIELDS])
    for position, way_back in made.converters:
        if fields[position] is not None:
            fields[position] = way_back(fields[position])
    return fields


def test_every_type_that_can_be_packed_is_tried() -> None:
    assert VALUES.keys() == DTYPES.keys()


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_packed_comes_back(kind: str, data: st.DataObject) -> None:
    column = pl.Series(
        data.draw(st.lists(st.none() | VALUES[kind], min_size=1, max_size=4)), dtype=DTYPES[kind]
    )
    made = layout({f"f{n}": kind for n in range(20)})
    rows = frame(dict.fromkeys(made.names, column), times=[1] * len(column), arrived=[2] * len(column))

    packed = made.pack(rows, generation=0)

    assert [unpack(one, made) for one in packed] == [[value] * 20 for value in column.to_list()]


def test_what_is_no_number_is_not_null() -> None:
    made = layout({"x": "Float64"})

    (packed,) = made.pack(frame({"x": pl.Series([math.nan])}, times=[0], arrived=[0]), generation=0)

    assert math.isnan(unpack(packed, made)[0])


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.integers(micros(FIRST), micros(LAST)),
            st.integers(micros(FIRST), micros(LAST)),
            st.integers(0, 9),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_values_sort_by_generation_time_arrival_and_version(orders: list[tuple[int, int, int, int]]) -> None:
    made = layout({"x": "Int64"})
    x = pl.Series([7])
    packed = [
        made.pack(frame({"x": x}, times=[time], arrived=[arrived], version=version), generation=generation)[0]
        for generation, time, arrived, version in orders
    ]

    in_order = [orders[at] for at in sorted(range(len(orders)), key=packed.__getitem__)]

    assert in_order == sorted(orders)
    assert [from_bytes(one[AT_TIME]) for one in packed] == [order[1] for order in orders]
    assert [from_bytes(one[AT_ARRIVED]) for one in packed] == [order[2] for order in orders]
    assert [is_before(one, 2) for one in packed] == [order[0] < 2 for order in orders]


@given(MOMENTS)
def test_a_moment_is_told_to_the_microsecond(one: datetime) -> None:
    assert moment(micros(one)) == one
    assert from_bytes(as_bytes(micros(one))) == micros(one)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 65_535, 65_536])
def test_the_head_of_an_array_says_how_many_follow(size: int) -> None:
    assert decode(array_head(size) + b"\x07" * size) == [7] * size


@pytest.mark.parametrize(
    "changes",
    [
        {"view": "w"},
        {"entities": (("who", "String"),)},
        {"entities": (("whose", "Int64"),)},
        {"fields": (("y", "Int64"), ("x", "Float64"))},
        {"fields": (("x", "Float64"), ("y", "Float64"))},
        {"made_of": {"time": "later"}},
    ],
    ids=str,
)
def test_another_declaration_has_another_namespace(changes: dict[str, Any]) -> None:
    given_ = {"fields": {"x": "Float64", "y": "Int64"}}
    first = layout(**given_)

    assert first.namespace("shop") == layout(**given_).namespace("shop")
    assert Layout(
        **{**{name: getattr(first, name) for name in first.__struct_fields__}, **changes}
    ).namespace("shop") != first.namespace("shop")
    assert first.namespace("another shop") != first.namespace("shop")


def test_a_type_that_cannot_be_packed_is_named() -> None:
    with pytest.raises(InvalidDeclaration, match=r"'x' is Struct.*Expected one of String, Boolean"):
        layout({"x": "Struct({'a': Int64})"})


def test_days_and_moments_are_small_numbers() -> None:
    made = layout({"day": "Date", "at": "Datetime(time_unit='us', time_zone='UTC')"})
    columns = {
        "day": pl.Series([date(1970, 1, 3)]),
        "at": pl.Series([datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=1)]),
    }

    (packed,) = made.pack(frame(columns, times=[0], arrived=[0]), generation=0)

    assert decode(array_head(2) + packed[AT_FIELDS]) == [2, 1_000_000]
