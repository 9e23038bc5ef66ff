from __future__ import annotations

import numpy as np
import pytest
from serving_wiring import FakeLoader

from treadle.core.clock import SystemClock
from treadle.serving.dataplane import Dataplane
from treadle.serving.predictor import Predictor

triton = pytest.importorskip("tritonclient.http")

DISTANCES, TEMPS, CARRIERS = [1400, 200, 1001], [1.5, float("nan"), -3.0], ["UA", "AA", "Ünknown"]


@pytest.fixture
def client(shared):
    with triton.InferenceServerClient(f"127.0.0.1:{shared.port}") as client:
        client.call = shared.call
        yield client


def inputs(*, binary, column=False, distance="INT64", temp="FP32"):
    shape = [3, 1] if column else [3]
    made = []
    for name, datatype, values, kind in (
        ("distance", distance, DISTANCES, np.int32 if distance == "INT32" else np.int64),
        ("temp", temp, TEMPS, np.float64 if temp == "FP64" else np.float32),
        ("carrier", "BYTES", CARRIERS, object),
    ):
        if not binary and name == "temp":
            values = [1.5, 0.0, -3.0]
        tensor = triton.InferInput(name, shape, datatype)
        tensor.set_data_from_numpy(np.array(values, dtype=kind).reshape(shape), binary_data=binary)
        made.append(tensor)
    return made


def test_metadata_and_health(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("delay")
    assert client.is_model_ready("delay", "8")
    assert not client.is_model_ready("delay", "9")
    assert not client.is_model_ready("delays")
    assert client.get_server_metadata()["name"] == "treadle"
    assert client.get_model_metadata("delay") == {
        "name": "delay",
        "versions": ["7", "8"],
        "platform": "treadle",
        "inputs": [
            {"name": "distance", "datatype": "INT64", "shape": [-1]},
            {"name": "temp", "datatype": "FP32", "shape": [-1]},
            {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "prediction", "datatype": "BOOL", "shape": [-1]},
            {"name": "probability", "datatype": "FP64", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("column", [True, False])
@pytest.mark.parametrize("types", [{}, {"distance": "INT32", "temp": "FP64"}])
def test_tensors_are_answered(client, binary, column, types):
    result = client.infer(
        "delay", inputs(binary=binary, column=column, **types), model_version="8", request_id="r1"
    )

    assert result.as_numpy("prediction").tolist() == [True, False, True]
    assert result.as_numpy("probability").tolist() == [0.008] * 3
    assert result.get_response()["id"] == "r1"
    assert result.get_response()["model_version"] == "8"


@pytest.mark.parametrize("binary", [True, False])
def test_outputs_are_chosen_and_come_as_asked_for(client, binary):
    outputs = [triton.InferRequestedOutput("probability", binary_data=binary)]

    result = client.infer("delay", inputs(binary=True), model_version="7", outputs=outputs)

    assert result.as_numpy("probability").tolist() == [0.007] * 3
    assert result.as_numpy("prediction") is None
    assert ("data" in result.get_output("probability")) is not binary


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_are_answered(client, algorithm):
    result = client.infer(
        "delay",
        inputs(binary=True),
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )

    assert result.as_numpy("prediction").tolist() == [True, False, True]


def test_subject_and_keys_travel_in_parameters(client):
    subject = {"subject": "passenger-1", "keys": '[{"id": 1}, {"id": 2}, {"id": 3}]'}

    seen = {
        client.infer("delay", inputs(binary=True), parameters=subject).get_response()["parameters"]["variant"]
        for _ in range(10)
    }

    assert len(seen) == 1


def test_the_same_answers_as_the_plain_route_and_the_predictor(client, shared, tmp_path):
    plane = Dataplane(shared.endpoints.current, FakeLoader(tmp_path), clock=SystemClock())
    rows = [
        {"distance": d, "temp": None if t != t else t, "carrier": c}
        for d, t, c in zip(DISTANCES, TEMPS, CARRIERS, strict=True)
    ]

    tensors = client.infer("delay", inputs(binary=True), parameters={"subject": "p1"}).as_numpy("probability")
    plain = client.call("/v1/endpoints/delay/predict", {"rows": rows, "subject": "p1"})[1]["predictions"]
    with Predictor("delay", plane, log=None, follower=None) as predictor:
        inside = predictor.predict(rows, subject="p1")

    assert tensors.tolist() == [p["probability"] for p in plain] == [p["probability"] for p in inside]


def body(**changes):
    tensor = {"distance": ([1], "INT64"), "temp": ([None], "FP32"), "carrier": (["UA"], "BYTES")}
    made = [{"name": n, "shape": [1], "datatype": t, "data": d} for n, (d, t) in tensor.items()]
    for name, change in changes.items():
        next(tensor for tensor in made if tensor["name"] == name).update(change)
    return {"inputs": made}


def test_null_is_a_missing_value(client):
    status, answer = client.call("/v2/models/delay/infer", body())

    assert (status, [output["name"] for output in answer["outputs"]]) == (200, ["prediction", "probability"])


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (body(distance={"data": ["far"]}), "distance[0]: Field 'distance' is 'far'. Expected an integer."),
        (body(distance={"data": [None]}), "distance[0]"),
        (body(distance={"datatype": "FP32", "data": [1.0]}), "Expected INT16 or INT32"),
        (body(distance={"datatype": "WRONG"}), "'distance' is WRONG"),
        (body(distance={"data": [1, 2]}), "has 2 values. Expected 1"),
        (body(distance={"shape": [2, 2]}), "Expected [rows] or [rows, 1]"),
        (body(distance={"shape": []}), "Expected [rows] or [rows, 1]"),
        (body(distance={"shape": [0], "data": []}), "no rows"),
        (body(distance={"shape": [10**9]}), "serving.max_rows"),
        (body(distance={"name": "distence"}), "Did you mean 'distance'"),
        (body(distance={"name": "temp"}), "came twice"),
        (body(distance={"parameters": {"binary_data_size": 8}}), "which are left"),
        (body(distance={"parameters": {"binary_data_size": -8}}), "which are left"),
        ({"inputs": body()["inputs"][:2]}, "Field 'carrier' is missing"),
        ({"inputs": [{"name": "distance", "shape": [1], "datatype": "INT64"}]}, "has no data"),
        ({**body(), "outputs": [{"name": "odds"}]}, "Unknown output 'odds'"),
        ({**body(), "parameters": {"keys": "["}}, "Expected the JSON text"),
        ({}, "missing required field 'inputs'"),
    ],
)
def test_bad_tensors_are_refused_in_one_sentence(client, sent, said):
    status, answer = client.call("/v2/models/delay/infer", sent)

    assert 400 <= status < 500
    assert isinstance(answer["error"], str)
    assert said in answer["error"]


@pytest.mark.parametrize(
    ("length", "binary"), [("x", b""), ("-1", b""), ("99999999999999999999", b""), (None, b"12345")]
)
def test_a_binary_part_that_does_not_add_up_is_refused(client, length, binary):
    import json

    head = json.dumps(body()).encode()

    status, answer = client.call(
        "/v2/models/delay/infer",
        head + binary,
        headers={"Inference-Header-Content-Length": length or str(len(head))},
    )

    assert (status, isinstance(answer["error"], str)) == (400, True)


def test_errors_reach_the_client_as_text(client):
    with pytest.raises(Exception, match="No endpoint named 'delays'"):
        client.infer("delays", inputs(binary=True))
