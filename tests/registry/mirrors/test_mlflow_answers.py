"""What answers beside MLflow encodes columns and completes answers exactly as Treadle does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest

from treadle.core import answers
from treadle.core.signature import Field, Signature, encode_series
from treadle.registry.mirrors import _mlflow_answers as beside

AT = datetime(2013, 1, 1, 5, 15, 0, 123_456, tzinfo=UTC)
VALUES: dict[str, list[Any]] = {
    "integer": [1, -(2**53) - 1, 2**62],
    "float": [0.1, -3.5e30, 16_777_217.0],
    "boolean": [True, False, True],
    "string": ["UA", "ü", ""],
    "category": ["UA", "AA", "new"],
    "timestamp": [
        AT,
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC),
    ],
    "date": [date(2013, 1, 1), date(1960, 2, 29), date(2100, 1, 1)],
}


@pytest.mark.parametrize("nullable", [False, True], ids=["always there", "may be missing"])
@pytest.mark.parametrize("kind", VALUES)
def test_columns_are_encoded_to_the_same_bits(kind: Any, nullable: bool) -> None:
    field = Field(name="x", kind=kind, nullable=nullable)
    values = [*VALUES[kind], *([None] if nullable else [])]
    ours = encode_series(field, pl.Series("x", values))
    series = pd.Series(values, dtype="float64") if kind == "integer" and nullable else pd.Series(values)
    frame = pd.DataFrame({"x": pd.to_datetime(series) if kind in ("timestamp", "date") else series})

    theirs = beside.encoded(msgspec.to_builtins(field), frame)

    assert theirs.dtype == ours.dtype
    np.testing.assert_array_equal(theirs, ours)


def test_a_column_that_may_be_missing_may_be_absent() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0]})

    found = beside.encoded({"name": "x", "kind": "float", "nullable": True}, frame)

    assert np.isnan(found).all()
    assert found.shape == (2,)


@pytest.mark.parametrize(
    "frame", [pd.DataFrame({"y": [1.0]}), pd.DataFrame({"x": [None]})], ids=["absent", "null"]
)
def test_a_column_that_must_be_there_is_asked_for(frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="olumn 'x'"):
        beside.encoded({"name": "x", "kind": "float"}, frame)


SIGNATURES = {
    "classes": (
        Field(name="prediction", kind="category"),
        Field(name="probabilities", kind="float", columns=("cat", "dog", "eel")),
    ),
    "numbered": (
        Field(name="prediction", kind="integer"),
        Field(name="probabilities", kind="float", columns=("3", "5", "7")),
    ),
    "quantiles": (
        Field(name="prediction", kind="float", column="0.5"),
        Field(name="quantiles", kind="float", columns=("0.1", "0.5", "0.9"), rising=True),
    ),
    "labels": (
        Field(name="prediction", kind="string", separator="|", none="none", above=0.8),
        Field(name="chances", kind="float", columns=("bill", "login", "slow"), independent=True),
    ),
    "binary": (Field(name="prediction", kind="boolean", above=0.3), Field(name="probability", kind="float")),
    "number": (Field(name="prediction", kind="float"),),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_answers_are_completed_the_same(name: str) -> None:
    signature = Signature(inputs=(), outputs=SIGNATURES[name])
    scored = answers.scored(signature)
    shape = (50, len(scored.columns)) if scored.columns else (50,)
    numbers = np.random.default_rng(1).uniform(size=shape)
    ours = answers.completed(numbers, signature)
    *others, last = [msgspec.to_builtins(field) for field in signature.outputs]

    theirs = beside._scored(last, numbers)
    found = {one["name"]: beside._follows(one, {last["name"]: numbers}, theirs, last) for one in others}

    np.testing.assert_array_equal(theirs, ours[scored.name])
    for output in found:
        assert list(found[output]) == list(ours[output])


def test_whoever_gives_fields_a_new_meaning_looks_at_the_copy() -> None:
    """What a field says and MLflow's copy does not act on would give other answers there than here."""
    acted_on = {"name", "kind", "nullable", "columns", "rising", "column", "above", "separator", "none"}
    of_training = {"levels", "independent", "method", "turned"}

    assert set(Field.__struct_fields__) == acted_on | of_training
