"""The exact check of columns, against what any two schemas may be."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.core.errors import InvalidInput
from treadle.store.tables import schemas

_KINDS = st.sampled_from(
    [pl.Int64(), pl.Int32(), pl.Float64(), pl.String(), pl.Boolean(), pl.Datetime("us", "UTC")]
)
_SCHEMAS = st.dictionaries(st.sampled_from("abcd"), _KINDS, max_size=4)


@given(came=_SCHEMAS, expected=_SCHEMAS)
def test_only_equal_schemas_fit(came: dict[str, pl.DataType], expected: dict[str, pl.DataType]) -> None:
    frame = pl.DataFrame(schema=came)

    if list(came.items()) == list(expected.items()):
        schemas.check(frame, against=expected, table="t")
    else:
        with pytest.raises(InvalidInput, match="Nothing was appended"):
            schemas.check(frame, against=expected, table="t")


def test_every_difference_is_named() -> None:
    frame = pl.DataFrame({"a": ["1"], "c": [1]})

    with pytest.raises(InvalidInput) as caught:
        schemas.check(frame, against={"a": pl.Int64(), "b": pl.Int64()}, table="t")

    for words in ("'b' is missing", "'c' is not in the table", "'a' is String, expected Int64"):
        assert words in str(caught.value)
    assert caught.value.field == "a"


def test_types_inside_lists_and_structs_are_widened_too() -> None:
    kind = pl.List(pl.Struct({"x": pl.UInt8, "y": pl.Categorical}))

    assert schemas.stored_type(kind, field="f") == pl.List(pl.Struct({"x": pl.Int16, "y": pl.String}))
