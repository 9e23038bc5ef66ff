from __future__ import annotations

import functools

import msgspec
import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.core.packing import Column, Matrix, Packer, filled
from treadle.core.records import Variant
from treadle.core.signature import Field, Signature
from treadle.registry.format import Trial
from treadle.registry.formats import onnx as onnx_format
from treadle.registry.formats import sklearn as sklearn_format
from treadle.registry.packing import packed
from treadle.serving.requests import Reader
from treadle.serving.runtime import make_ready, run

compose = pytest.importorskip("sklearn.compose")
ensemble = pytest.importorskip("sklearn.ensemble")
linear = pytest.importorskip("sklearn.linear_model")
pipelines = pytest.importorskip("sklearn.pipeline")
preprocessing = pytest.importorskip("sklearn.preprocessing")
runtime = pytest.importorskip("onnxruntime")

SIGNATURE = Signature(
    inputs=(
        Field(name="carrier", kind="string", nullable=True),
        Field(name="distance", kind="integer"),
        Field(name="stops", kind="integer", nullable=True),
        Field(name="wind", kind="float", nullable=True),
        Field(name="rain", kind="boolean"),
    ),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)
ROWS = 400


def values(seed=0, rows=ROWS):
    draw = np.random.default_rng(seed)
    return {
        "carrier": [
            None if u < 0.1 else draw.choice(["AA", "UA", "DL", "Ünknown", ""]) for u in draw.random(rows)
        ],
        "distance": draw.integers(-5000, 5000, rows).tolist(),
        "stops": [None if u < 0.2 else int(draw.integers(0, 4)) for u in draw.random(rows)],
        "wind": [None if u < 0.1 else float(draw.normal(10, 7)) for u in draw.random(rows)],
        "rain": (draw.random(rows) < 0.3).tolist(),
    }


def encoded(given):
    kinds = {
        "carrier": pl.String,
        "distance": pl.Int64,
        "stops": pl.Int64,
        "wind": pl.Float64,
        "rain": pl.Boolean,
    }
    return SIGNATURE.encode(pl.DataFrame(given, schema=kinds))


def fitted(encoder, learner, *, scale=False):
    columns = encoded(values())
    frame = pl.DataFrame(
        {name: list(array) if array.dtype == object else array for name, array in columns.items()}
    )
    known = frame.with_columns(pl.col("carrier").replace("Ünknown", "AA"))
    late = np.nan_to_num(columns["wind"]) + columns["distance"] / 1000 > 10
    numbers = preprocessing.StandardScaler() if scale else "passthrough"
    front = compose.make_column_transformer(
        (encoder, ["carrier"]), (numbers, ["distance", "wind"]), remainder="passthrough"
    )
    fill = [pytest.importorskip("sklearn.impute").SimpleImputer()] if scale else []
    model = pipelines.make_pipeline(front, *fill, learner).fit(known, late)
    expected = model.predict_proba(frame)[:, 1]
    saved = sklearn_format.save(
        model, task="classification", signature=SIGNATURE, trial=Trial(columns, expected)
    )
    assert saved.format == "onnx"
    return saved.files


def load(files):
    return onnx_format.load(files, task="classification", signature=SIGNATURE)


ORDINAL = {"handle_unknown": "use_encoded_value", "unknown_value": np.nan}
MODELS = {
    "trees behind codes": lambda: (
        preprocessing.OrdinalEncoder(**ORDINAL),
        ensemble.HistGradientBoostingClassifier(max_iter=20),
    ),
    "trees behind columns of classes": lambda: (
        preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        ensemble.HistGradientBoostingClassifier(max_iter=20),
    ),
    "a scaled line": lambda: (
        preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        linear.LogisticRegression(max_iter=1000),
    ),
}


@functools.cache
def files_of(kind):
    encoder, learner = MODELS[kind]()
    return fitted(encoder, learner, scale=kind == "a scaled line")


@pytest.mark.parametrize("kind", MODELS)
def test_a_packed_model_gives_the_very_same_bits_for_every_row(kind):
    files = files_of(kind)
    plain, other = load(files), load(files)
    other.samples = encoded(values(seed=1, rows=50))
    other.pack()
    rows = encoded(values(seed=2, rows=3000))

    before, after = plain.predict(rows), other.predict(rows)

    assert other.packing
    assert len(other.packing) < len(SIGNATURE.inputs)
    assert {name: array.tobytes() for name, array in before.items()} == {
        name: array.tobytes() for name, array in after.items()
    }


@pytest.mark.parametrize("kind", MODELS)
def test_values_are_packed_as_encoded_columns_are(kind):
    found = packed(files_of(kind)["model.onnx"], SIGNATURE)
    fields = {field.name: field for field in SIGNATURE.inputs}
    given = values(seed=3)

    for matrix in found.matrices:
        expected = filled(matrix, encoded(given), ROWS)
        made = Packer(matrix, fields).pack(given, rows=ROWS)

        assert made.dtype == expected.dtype
        assert made.flags.c_contiguous
        assert np.array_equal(made, expected, equal_nan=True)
        assert np.array_equal(np.signbit(made), np.signbit(expected))


def test_a_model_whose_answers_would_change_is_fed_column_by_column(monkeypatch, caplog):
    files = files_of("trees behind codes")
    model = load(files)
    model.samples = encoded(values(seed=1, rows=50))
    found = packed(files["model.onnx"], SIGNATURE)
    wrong = tuple(
        Matrix(m.name, m.dtype, tuple(reversed(m.columns)))  # type: ignore[arg-type]
        for m in found.matrices
    )
    monkeypatch.setattr(onnx_format, "packed", lambda *_: type(found)(found.model, wrong))

    model.pack()

    assert not model.packing
    assert "answers would change" in caplog.text
    assert model.predict(encoded(values()))["probability"].shape == (ROWS,)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("distance", 2**63),
        ("distance", 10**400),
        ("distance", -(2**64)),
        ("wind", 1e39),
        ("wind", float("inf")),
        ("stops", 2**53 + 1),
    ],
)
def test_values_that_need_a_closer_look_are_not_packed(name, bad):
    fields = {field.name: field for field in SIGNATURE.inputs}
    matrix = Matrix("m", "float64", (Column(name, (fields[name].tensor, "float64")),))

    assert Packer(matrix, fields).pack({name: [bad]}, rows=1) is None


def test_a_number_that_may_not_be_missing_is_not_packed_as_nan():
    fields = {"x": Field(name="x", kind="float")}

    assert (
        Packer(Matrix("m", "float64", (Column("x", ("float32", "float64")),)), fields).pack(
            {"x": [float("nan")]}, rows=1
        )
        is None
    )


@pytest.mark.parametrize("kind", MODELS)
def test_a_row_is_packed_as_it_is_among_others(kind):
    found = packed(files_of(kind)["model.onnx"], SIGNATURE)
    fields = {field.name: field for field in SIGNATURE.inputs}
    given = values(seed=4)

    for matrix in found.matrices:
        together = Packer(matrix, fields).pack(given, rows=ROWS)
        alone = Packer(matrix, fields)
        for row in range(ROWS):
            made = alone.pack({name: column[row : row + 1] for name, column in given.items()}, rows=1)

            assert made.dtype == together.dtype
            assert made.tobytes() == together[row].tobytes()


def test_an_integer_that_no_matrix_takes_is_refused_where_it_is_too_large():
    more = msgspec.structs.replace(
        SIGNATURE, inputs=(*SIGNATURE.inputs, Field(name="flight", kind="integer"))
    )
    model = onnx_format.load(files_of("trees behind codes"), task="classification", signature=more)
    model.samples = {**encoded(values(seed=1, rows=50)), "flight": np.zeros(50, dtype=np.float32)}
    model.pack()
    variant = Variant(name="champion", model="delay", version=1)
    ready = make_ready(model, variant, reader=Reader(more, max_rows=10), samples=model.samples)
    row = {name: column[0] for name, column in values(seed=2).items()}

    found = run(ready, ready.reader.objects([row | {"flight": 2**63 - 1}]), variant)

    assert ready.packers
    assert len(found["probability"]) == 1
    with pytest.raises(InvalidInput, match="64 bits"):
        run(ready, ready.reader.objects([row | {"flight": 2**63}]), variant)
