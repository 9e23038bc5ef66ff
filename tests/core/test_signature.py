"""Signatures: what columns become, the same in training and in serving."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field, Signature, decode_frame, encode_series, field_of


@pytest.mark.parametrize(
    ("series", "kind", "tensor"),
    [
        (pl.Series("x", [1, 2]), "integer", "int64"),
        (pl.Series("x", [1, None]), "integer", "float32"),
        (pl.Series("x", [1.5, 2.0]), "float", "float32"),
        (pl.Series("x", [True, False]), "boolean", "float32"),
        (pl.Series("x", ["a", None]), "string", "string"),
        (pl.Series("x", ["a", "b"], dtype=pl.Categorical), "category", "string"),
        (pl.Series("x", [datetime(2013, 1, 1, tzinfo=UTC)]), "timestamp", "int64"),
        (pl.Series("x", [date(2013, 1, 1)]), "date", "int64"),
    ],
)
def test_the_field_of_a_column(series, kind, tensor):
    found = field_of(series)

    assert (found.kind, found.tensor) == (kind, tensor)
    assert encode_series(found, series).shape == (len(series),)


def test_missing_numbers_become_nan_and_missing_strings_empty():
    frame = pl.DataFrame({"n": [1, None], "s": ["a", None]})
    signature = Signature(inputs=tuple(field_of(frame[name]) for name in frame.columns))

    encoded = signature.encode(frame)

    assert np.isnan(encoded["n"][1])
    assert list(encoded["s"]) == ["a", ""]


def test_a_null_that_is_not_allowed_is_told_with_its_row():
    signature = Signature(inputs=(Field(name="n", kind="integer"),))

    with pytest.raises(InvalidInput, match="'n' has no value in row 1"):
        signature.encode(pl.DataFrame({"n": [1, None]}))


def test_a_missing_column_is_told():
    signature = Signature(inputs=(Field(name="n", kind="integer"),))

    with pytest.raises(InvalidInput, match="Missing column 'n'.*got m"):
        signature.encode(pl.DataFrame({"m": [1]}))


def test_decoded_frames_encode_to_the_same_bits():
    frame = pl.DataFrame({"n": [1, None], "f": [0.1, 2.0], "s": ["a", None]})
    signature = Signature(inputs=tuple(field_of(frame[name]) for name in frame.columns))

    encoded = signature.encode(frame)
    again = decode_frame(signature.inputs, encoded)

    assert again.schema == {"n": pl.Float32, "f": pl.Float32, "s": pl.String}
    assert again["f"].to_numpy().tobytes() == encoded["f"].tobytes()


def test_a_type_that_models_cannot_take_is_refused():
    with pytest.raises(InvalidInput, match="List"):
        field_of(pl.Series("x", [[1]]))


@pytest.mark.parametrize(
    ("kind", "values"), [("float", ["a"]), ("integer", ["a"]), ("date", ["soon"]), ("timestamp", [[1]])]
)
def test_a_column_of_another_kind_is_told(kind, values):
    signature = Signature(inputs=(Field(name="x", kind=kind),), outputs=())

    with pytest.raises(InvalidInput, match=f"Column 'x' is .*no {kind}"):
        signature.encode(pl.DataFrame({"x": values}))
