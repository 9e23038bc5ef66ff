"""Every row gets from a server what the fitted estimator says in its own library, with the types of training.

100,000 rows with TREADLE_FULL=1, fewer in CI; every one is compared, none on average.
"""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import polars as pl
import pytest

from treadle.core.clock import SystemClock, monotonic
from treadle.core.records import Variant
from treadle.core.signature import Field, Signature
from treadle.registry import packages
from treadle.serving.dataplane import Dataplane
from treadle.serving.protocols import rows as protocol
from treadle.serving.web import Request
from treadle.store.objects.objects import Objects

compose = pytest.importorskip("sklearn.compose")
ensemble = pytest.importorskip("sklearn.ensemble")
preprocessing = pytest.importorskip("sklearn.preprocessing")
pipelines = pytest.importorskip("sklearn.pipeline")

ROWS = 100_000 if os.environ.get("TREADLE_FULL") else 6_000
SIGNATURE = Signature(
    inputs=(
        Field(name="carrier", kind="string", nullable=True),
        Field(name="distance", kind="integer"),
        Field(name="stops", kind="integer", nullable=True),
        Field(name="temp", kind="float", nullable=True),
        Field(name="rain", kind="boolean"),
    ),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)
KINDS = {
    "carrier": pl.String,
    "distance": pl.Int64,
    "stops": pl.Int64,
    "temp": pl.Float64,
    "rain": pl.Boolean,
}


def flights(rows, *, seed):
    """Return rows as callers have them: doubles, nulls, empty texts, and categories that training has not seen."""
    draw = np.random.default_rng(seed)
    carriers = np.array(["AA", "UA", "DL", "EV", "", "Ünseen", None], dtype=object)
    temp, stops = draw.normal(10, 8, rows), draw.integers(0, 4, rows)
    return pl.DataFrame(
        {
            "carrier": carriers[draw.integers(0, len(carriers), rows)],
            "distance": draw.integers(-(2**40), 2**40, rows) // draw.choice([1, 10**9], rows),
            "stops": [
                None if miss else int(n) for miss, n in zip(draw.random(rows) < 0.2, stops, strict=True)
            ],
            "temp": [
                None if miss else float(t) for miss, t in zip(draw.random(rows) < 0.1, temp, strict=True)
            ],
            "rain": draw.random(rows) < 0.3,
        },
        schema=KINDS,
    )


@pytest.fixture(scope="module")
def native():
    """Return a boosted pipeline, fitted on what the signature makes of rows, and what makes a frame of rows for it."""
    known = flights(4_000, seed=0).with_columns(pl.col("carrier").replace("Ünseen", "AA"))
    codes = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    front = compose.make_column_transformer((codes, ["carrier"]), remainder="passthrough")
    columns = _frame(known)
    late = np.nan_to_num(columns["temp"].to_numpy()) + 3 * np.nan_to_num(columns["stops"].to_numpy()) > 15
    return pipelines.make_pipeline(front, ensemble.HistGradientBoostingClassifier(max_iter=100)).fit(
        columns, late
    )


def _frame(rows):
    """Return rows with the types of training."""
    return pl.DataFrame(
        {name: list(v) if v.dtype == object else v for name, v in SIGNATURE.encode(rows).items()}
    )


@pytest.fixture(scope="module")
def servable(native, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parity")
    golden = flights(300, seed=1)
    objects = Objects.open("objects", root=folder, options={})
    package = packages.pack(
        native,
        task="classification",
        signature=SIGNATURE,
        golden=golden,
        expected=native.predict_proba(_frame(golden))[:, 1],
        objects=objects,
    )
    assert package.format == "onnx"
    return packages.load(package.digest, objects=objects, cache=folder / "cache")


@pytest.fixture
def plane(endpoints, servable):
    champion = Variant(name="champion", model="delay", version=1)
    endpoints.revise("delay", [champion], actor="test", reason="test", expected=None)
    plane = Dataplane(endpoints.current, lambda variant: servable, clock=SystemClock(), max_rows=ROWS)
    plane.refresh()
    return plane


def parsed(plane, body):
    request = Request(
        method="POST", path="", headers={}, body=body, names={"endpoint": "delay"}, received=monotonic()
    )
    return plane.prepare("delay", protocol.parse(request))


def test_every_row_of_a_large_request_gets_the_estimators_answer(plane, native, servable):
    rows = flights(ROWS, seed=2)

    answer = plane.run(parsed(plane, b'{"rows": %s}' % rows.write_json().encode()))

    assert servable.packing
    expected = native.predict_proba(_frame(rows))[:, 1]
    assert np.abs(answer.outputs["probability"] - expected).max() < 1e-12
    assert answer.outputs["prediction"].tolist() == native.predict(_frame(rows)).tolist()


@pytest.mark.parametrize("size", [1, 3, 64])
def test_a_row_gets_the_same_bits_alone_and_beside_others(plane, size):
    rows = flights(ROWS // 20, seed=3)
    bodies = [line.encode() for line in rows.write_ndjson().splitlines()]
    whole = plane.run(parsed(plane, b'{"rows": %s}' % rows.write_json().encode())).outputs["probability"]
    requests = [parsed(plane, b'{"rows": [%s]}' % body) for body in bodies]

    together = partial(map, plane.run_together)
    found = [
        a for group in together(requests[i : i + size] for i in range(0, len(requests), size)) for a in group
    ]

    assert np.array([answer.outputs["probability"][0] for answer in found]).tobytes() == whole.tobytes()
