"""The same rows get the same answers on every way in, and those of the native estimator."""

from __future__ import annotations

import numpy as np
import pytest
from serving_wiring import FakeLoader

from treadle.core.clock import SystemClock
from treadle.serving.dataplane import Dataplane
from treadle.serving.predictor import Predictor

triton = pytest.importorskip("tritonclient.http")
linear = pytest.importorskip("sklearn.linear_model")
skl2onnx = pytest.importorskip("skl2onnx")

ROWS = 300


@pytest.fixture
def table():
    draw = np.random.default_rng(0)
    distance = draw.integers(100, 3000, ROWS)
    temp = draw.normal(10, 8, ROWS).astype(np.float32)
    late = (distance / 1000 + temp / 10 + draw.normal(0, 1, ROWS)) > 2
    return distance, temp, late


@pytest.fixture
def native(table, tmp_path):
    distance, temp, late = table
    estimator = linear.LogisticRegression(max_iter=1000)
    estimator.fit(np.column_stack([distance, temp]), late)
    kind = skl2onnx.common.data_types.FloatTensorType([None, 2])
    converted = skl2onnx.to_onnx(
        estimator, initial_types=[("inputs", kind)], options={"zipmap": False}, target_opset=17
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "delay-1.onnx").write_bytes(converted.SerializeToString())
    return estimator.predict_proba(np.column_stack([distance, temp]))[:, 1]


def tensors(table, *, binary):
    distance, temp, _ = table
    made = []
    for name, datatype, values in (
        ("distance", "INT64", distance),
        ("temp", "FP32", temp),
        ("carrier", "BYTES", np.array(["UA"] * ROWS, dtype=object)),
    ):
        tensor = triton.InferInput(name, [ROWS], datatype)
        tensor.set_data_from_numpy(values, binary_data=binary)
        made.append(tensor)
    return made


def test_tritonclient_the_plain_route_the_predictor_and_the_estimator_agree(
    revise, launch, endpoints, tmp_path, table, native
):
    revise(("champion", 1, 1.0))
    server = launch()
    rows = [{"distance": int(d), "temp": float(t), "carrier": "UA"} for d, t, _ in zip(*table, strict=True)]
    plane = Dataplane(endpoints.current, FakeLoader(tmp_path), clock=SystemClock())

    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        answers = {
            f"binary={binary}": client.infer("delay", tensors(table, binary=binary)).as_numpy("probability")
            for binary in (True, False)
        }
    plain = server.call("/v1/endpoints/delay/predict", {"rows": rows})[1]["predictions"]
    answers["rows"] = np.array([row["probability"] for row in plain])
    with Predictor("delay", plane, log=None, follower=None) as predictor:
        answers["predictor"] = np.array([row["probability"] for row in predictor.predict(rows)])

    assert all(np.abs(found - native).max() <= 1e-5 for found in answers.values())
    assert all((found == answers["predictor"]).all() for found in answers.values())
