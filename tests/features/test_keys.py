from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle.core.errors import InvalidInput
from treadle.core.hashing import key_bytes
from treadle.features.keys import NOBODY, encoder, entity_bytes, namespaces_of
from treadle.store.online.backend import LONGEST_KEY

KEYS = st.one_of(st.text(max_size=200), st.integers(-(2**63), 2**63 - 1))


def encode(dtype: pl.DataType, values: Any) -> list[bytes]:
    return encoder([("who", dtype)], view="v")({"who": values})


@given(st.lists(st.none() | st.text(max_size=200)))
def test_texts_are_their_canonical_bytes(texts: list[str | None]) -> None:
    assert encode(pl.String(), texts) == [entity_bytes((text,)) for text in texts]


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_are_their_canonical_bytes(numbers: list[int | None]) -> None:
    assert encode(pl.Int64(), numbers) == [entity_bytes((number,)) for number in numbers]


@given(
    st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3), st.integers(0, 3)), min_size=2, unique=True)
)
def test_composite_keys_never_collide(keys: list[tuple[str, str, int]]) -> None:
    entities = [("a", pl.String()), ("b", pl.String()), ("c", pl.Int64())]
    columns = dict(zip("abc", zip(*keys, strict=True), strict=True))

    found = encoder(entities, view="v")(columns)

    assert found == [key_bytes(key) for key in keys]
    assert len(set(found)) == len(keys)


@pytest.mark.parametrize(
    ("dtype", "value", "same"),
    [
        (pl.String(), uuid.UUID(int=7), str(uuid.UUID(int=7))),
        (pl.Int64(), np.int32(7), 7),
        (pl.Int32(), 7, 7),
        (pl.Boolean(), True, 1),
        (pl.Date(), date(1970, 1, 8), 7),
        (pl.Datetime("us", "UTC"), datetime(1970, 1, 1, 0, 0, 0, 7, tzinfo=UTC), 7),
    ],
    ids=str,
)
def test_other_types_are_their_canonical_bytes(dtype: pl.DataType, value: Any, same: Any) -> None:
    assert encode(dtype, [value, None]) == [key_bytes(same), NOBODY]


def test_long_entities_are_hashed_and_fit_into_a_key() -> None:
    texts = ["x" * 10_000, "x" * 10_001, "é" * 80, "é" * 81]

    found = encode(pl.String(), texts)

    assert len(set(found)) == 4
    assert found[2] == texts[2].encode()
    assert {len(one) for one in found} == {33, 160}
    assert len(namespaces_of("ü" * 500, "v" * 500)) + 13 + 160 < LONGEST_KEY


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (pl.String(), 7),
        (pl.Int64(), "7"),
        (pl.Int64(), 7.0),
        (pl.Boolean(), 1),
        (pl.Date(), datetime(1970, 1, 1, tzinfo=UTC)),
        (pl.Datetime("us", "UTC"), date(1970, 1, 1)),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_named(dtype: pl.DataType, value: Any) -> None:
    with pytest.raises(InvalidInput, match="is no value of the entity 'who' of feature view 'v'") as error:
        encode(dtype, [value])

    assert error.value.field == "who"


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidInput, match="No column 'who'.*Did you mean 'whom'") as error:
        encoder([("who", pl.String())], view="v")({"whom": ["x"]})

    assert error.value.field == "who"


@pytest.mark.parametrize("dtype", [pl.String(), pl.Int64()], ids=str)
def test_a_single_value_is_not_taken_for_a_column(dtype: pl.DataType) -> None:
    with pytest.raises(InvalidInput, match=r"Expected a list of values, one for each row: \['JFK'\]"):
        encode(dtype, "JFK")


def test_columns_of_different_lengths_are_refused() -> None:
    entities = [("a", pl.String()), ("b", pl.String())]

    with pytest.raises(InvalidInput, match=r"not of one length \(a: 1, b: 2\)"):
        encoder(entities, view="v")({"a": ["x"], "b": ["x", "y"]})


def test_projects_and_views_are_apart_in_names() -> None:
    names = [
        namespaces_of(project, view)
        for project, view in (("a", "b"), ("a/b", "c"), ("a", "b/c"), ("a", "bc"))
    ]

    assert len(set(names)) == 4
    assert not any(one != other and one.startswith(other) for one in names for other in names)
    assert namespaces_of("a", "b").startswith(namespaces_of("a"))
