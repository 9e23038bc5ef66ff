"""The Open Inference Protocol over gRPC, against a real server, with Triton's own client and with bytes that are none."""

from __future__ import annotations

import os
import queue
import random
import signal
import socket
import threading
import urllib.request
from contextlib import closing

import grpc
import numpy as np
import pytest
from serving_process import free_port, launching

from treadle.core.clock import SystemClock
from treadle.core.errors import InvalidInput
from treadle.core.records import Variant
from treadle.core.settings import ServingSettings
from treadle.serving.endpoints import Endpoints
from treadle.serving.inference_messages import FIELDS, SERVICE, message
from treadle.serving.listening import check_free
from treadle.store.ledger.ledger import Ledger

triton = pytest.importorskip("tritonclient.grpc")

FULL = bool(os.environ.get("TREADLE_FULL"))
Code = grpc.StatusCode


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("grpc")
    ledger = Ledger.open("sqlite:///ledger.db", root=root)
    both = [
        Variant(name=n, model="delay", version=v, weight=0.5) for n, v in (("champion", 7), ("challenger", 8))
    ]
    Endpoints(ledger, SystemClock()).revise("delay", both, actor="test", reason="asked for", expected=0)
    with launching(root) as start:
        yield start(grpc_port=free_port(), max_body=200_000, max_rows=1_000)
    ledger.close()


@pytest.fixture
def client(server):
    with triton.InferenceServerClient(f"127.0.0.1:{server.options['grpc_port']}") as client:
        yield client


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.options['grpc_port']}") as channel:
        yield channel


def inputs(rows=3):
    made = []
    for name, datatype, values in (
        ("distance", "INT64", np.array([1400, 200, 1001][:rows], dtype=np.int64)),
        ("temp", "FP32", np.array([1.5, np.nan, -3.0][:rows], dtype=np.float32)),
        ("carrier", "BYTES", np.array(["UA", "AA", "Ünknown"][:rows], dtype=object)),
    ):
        tensor = triton.InferInput(name, [len(values)], datatype)
        tensor.set_data_from_numpy(values)
        made.append(tensor)
    return made


def typed(**more):
    """Return a request whose tensors are typed contents, as KServe's own examples send them."""
    request = message("ModelInferRequest")(model_name="delay", **more)
    request.inputs.add(name="distance", datatype="INT32", shape=[2]).contents.int_contents.extend([1400, 200])
    request.inputs.add(name="temp", datatype="FP64", shape=[2, 1]).contents.fp64_contents.extend(
        [1.5, float("nan")]
    )
    request.inputs.add(name="carrier", datatype="BYTES", shape=[2]).contents.bytes_contents.extend(
        [b"UA", b"AA"]
    )
    return request


def ask(channel, data, method="ModelInfer", **more):
    return channel.unary_unary(f"/{SERVICE}/{method}")(data, timeout=30, **more)


def code_of(channel, data, method="ModelInfer", **more):
    try:
        ask(channel, data, method, **more)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return Code.OK, ""


def test_messages_are_those_of_the_specification():
    theirs = triton.service_pb2.DESCRIPTOR.message_types_by_name

    for name, fields in FIELDS.items():
        outer, *inner = name.split(".")
        expected = theirs[outer].nested_types_by_name[inner[0]] if inner else theirs[outer]
        made = message(name).DESCRIPTOR
        assert [(f.name, f.number, f.type, f.is_repeated) for f in made.fields] == [
            (f.name, f.number, f.type, f.is_repeated) for f in expected.fields if f.name in fields
        ]
        assert made.full_name == expected.full_name


def test_metadata_and_health(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("delay")
    assert client.is_model_ready("delay", "8")
    assert not client.is_model_ready("delay", "9")
    assert not client.is_model_ready("../delays")
    assert client.get_server_metadata().name == "treadle"
    found = client.get_model_metadata("delay")
    assert (found.name, list(found.versions)) == ("delay", ["7", "8"])
    assert [(t.name, t.datatype, list(t.shape)) for t in (*found.inputs, *found.outputs)] == [
        ("distance", "INT64", [-1]),
        ("temp", "FP32", [-1]),
        ("carrier", "BYTES", [-1]),
        ("prediction", "BOOL", [-1]),
        ("probability", "FP64", [-1]),
    ]


def test_raw_tensors_are_answered_raw(client):
    result = client.infer("delay", inputs(), model_version="8", request_id="r1", parameters={"subject": "p"})

    assert result.as_numpy("prediction").tolist() == [True, False, True]
    assert result.as_numpy("probability").tolist() == [0.008] * 3
    response = result.get_response()
    assert (response.id, response.model_version, response.parameters["variant"].string_param) == (
        "r1",
        "8",
        "challenger",
    )
    assert len(response.raw_output_contents) == 2


def test_outputs_are_chosen(client):
    result = client.infer("delay", inputs(), outputs=[triton.InferRequestedOutput("probability")])

    assert [output.name for output in result.get_response().outputs] == ["probability"]


def test_typed_tensors_are_answered_typed(channel):
    answer = message("ModelInferResponse").FromString(
        ask(channel, typed(model_version="7").SerializeToString())
    )

    assert [list(o.contents.bool_contents or o.contents.fp64_contents) for o in answer.outputs] == [
        [True, False],
        [0.007] * 2,
    ]
    assert not answer.raw_output_contents


def test_the_same_bytes_may_be_sent_over_http(server):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/v2/models/delay/versions/7/infer",
        data=typed().SerializeToString(),
        headers={"Content-Type": "application/x-protobuf"},
    )

    with urllib.request.urlopen(request) as answer:
        read = message("ModelInferResponse").FromString(answer.read())

    assert answer.headers["content-type"] == "application/x-protobuf"
    assert list(read.outputs[1].contents.fp64_contents) == [0.007] * 2


def test_a_stream_is_answered_in_order_and_survives_a_bad_request(client):
    seen: queue.Queue = queue.Queue()
    client.start_stream(lambda result, error: seen.put((result, error)))
    for number in range(50):
        client.async_stream_infer("delay" if number % 10 else "delays", inputs(1), request_id=f"s{number}")
    answers = [seen.get(timeout=30) for _ in range(50)]
    client.stop_stream()

    assert [result and result.get_response().id for result, _ in answers] == [
        f"s{n}" if n % 10 else None for n in range(50)
    ]
    assert all("No endpoint named 'delays'" in str(answers[n][1]) for n in range(0, 50, 10))


@pytest.mark.parametrize(
    ("change", "expected", "said"),
    [
        (lambda r: setattr(r, "model_name", "delays"), Code.NOT_FOUND, "delays"),
        (lambda r: setattr(r, "model_name", ""), Code.NOT_FOUND, "delay"),
        (lambda r: setattr(r, "model_name", "../../v1/endpoints"), Code.NOT_FOUND, "delay"),
        (lambda r: setattr(r, "model_version", "9"), Code.NOT_FOUND, "9"),
        (lambda r: setattr(r, "model_version", "nine"), Code.INVALID_ARGUMENT, "nine"),
        (lambda r: setattr(r, "id", "x" * 500), Code.INVALID_ARGUMENT, "id"),
        (lambda r: r.inputs.pop(), Code.INVALID_ARGUMENT, "carrier"),
        (lambda r: r.inputs.add(name="speed", datatype="FP32", shape=[2]), Code.INVALID_ARGUMENT, "speed"),
        (lambda r: r.inputs.add(name="temp", datatype="FP32", shape=[2]), Code.INVALID_ARGUMENT, "twice"),
        (lambda r: setattr(r.inputs[0], "datatype", "BYTES"), Code.INVALID_ARGUMENT, "distance"),
        (lambda r: r.inputs[0].shape.append(7), Code.INVALID_ARGUMENT, "shape"),
        (lambda r: r.inputs[0].contents.int_contents.append(1), Code.INVALID_ARGUMENT, "3 values"),
        (lambda r: r.raw_input_contents.append(b""), Code.INVALID_ARGUMENT, "raw_input_contents"),
        (
            lambda r: r.inputs[2].contents.bytes_contents.__setitem__(0, b"\xff"),
            Code.INVALID_ARGUMENT,
            "UTF-8",
        ),
        (lambda r: r.outputs.add(name="odds"), Code.INVALID_ARGUMENT, "odds"),
        (lambda r: r.parameters["keys"].__setattr__("string_param", "{"), Code.INVALID_ARGUMENT, "keys"),
        (
            lambda r: [r.inputs[n].shape.__setitem__(0, 5_000) for n in range(3)],
            Code.INVALID_ARGUMENT,
            "5000 rows",
        ),
    ],
)
def test_bad_requests_have_their_own_status_and_say_where(channel, change, expected, said):
    request = typed()
    change(request)

    code, details = code_of(channel, request.SerializeToString())

    assert code == expected
    assert said in details


def test_a_message_over_the_limit_and_an_unknown_method_are_refused(channel):
    request = typed()
    request.raw_input_contents.append(b"\0" * 300_000)

    assert code_of(channel, request.SerializeToString())[0] == Code.RESOURCE_EXHAUSTED
    packed = code_of(channel, request.SerializeToString(), compression=grpc.Compression.Gzip)[0]
    assert packed in {Code.RESOURCE_EXHAUSTED, Code.INVALID_ARGUMENT}
    assert code_of(channel, b"", "RepositoryIndex")[0] == Code.UNIMPLEMENTED


def test_the_health_check_of_probes_is_answered(channel):
    assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10) == b"\x08\x01"


def test_a_token_is_asked_for_as_over_http(revise, launch):
    revise(("champion", 7, 1.0))
    server = launch(grpc_port=free_port(), token="s3cret")

    with grpc.insecure_channel(f"127.0.0.1:{server.options['grpc_port']}") as channel:
        data, right = typed().SerializeToString(), (("authorization", "Bearer s3cret"),)
        assert code_of(channel, data)[0] == Code.UNAUTHENTICATED
        assert (
            code_of(channel, data, metadata=(("authorization", "Bearer wrong"),))[0] == Code.UNAUTHENTICATED
        )
        assert code_of(channel, b"", "ServerMetadata")[0] == Code.UNAUTHENTICATED
        assert code_of(channel, b"", "ModelReady")[0] == Code.UNAUTHENTICATED
        assert code_of(channel, b"", "ServerLive")[0] == Code.OK
        assert code_of(channel, data, metadata=right)[0] == Code.OK


def test_a_port_that_is_taken_is_said_before_anything_starts():
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        taken = held.getsockname()[1]
        with pytest.raises(InvalidInput, match=r"serving\.grpc_port"):
            check_free(ServingSettings(port=free_port(), grpc_port=taken))
    with pytest.raises(InvalidInput, match="both"):
        check_free(ServingSettings(port=taken, grpc_port=taken))


def test_s3_calls_that_have_begun_are_answered_when_the_server_ends(revise, launch, tmp_path):
    revise(("champion", 7, 1.0))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "delay-7.json").write_text('{"seconds": 0.7}')
    server = launch(grpc_port=free_port(), drain_wait=0.1)
    data, streamed = typed().SerializeToString(), typed(id="s1").SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.options['grpc_port']}") as channel:
        one = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        stream = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
        one(data, timeout=30)

        calls = [one.future(data, timeout=30) for _ in range(3)]
        answers = stream(iter([streamed]), timeout=30)
        threading.Event().wait(0.2)  # the calls are with the model now
        server.process.send_signal(signal.SIGTERM)
        ended = server.process.wait(30)

        assert ended == 0
        assert [message("ModelInferResponse").FromString(call.result()).model_version for call in calls] == [
            "7"
        ] * 3
        assert [message("ModelStreamInferResponse").FromString(a).infer_response.id for a in answers] == [
            "s1"
        ]
        assert code_of(channel, data)[0] == Code.UNAVAILABLE


def test_a10_random_messages_are_refused_or_answered(channel, server):
    draw = random.Random(7)
    codes: dict[str, int] = {}
    for number in range(10_000 if FULL else 1_000):
        method = draw.choice(["ModelInfer"] * 8 + ["ModelReady", "ModelMetadata", "ServerReady"])
        code, details = code_of(channel, _random(draw, number), method)
        codes[code.name] = codes.get(code.name, 0) + 1
        assert code not in {Code.INTERNAL, Code.UNKNOWN, Code.UNAVAILABLE}, (number, details)

    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= set(codes)
    assert server.process.poll() is None


CHANGES = [
    lambda d, r, t: setattr(r, "model_name", d.choice(["delay", "", "%2e", "\U0001f600", "a" * 5000])),
    lambda d, r, t: setattr(r, "model_version", d.choice(["7", "-1", "7.0", "٧", "9" * 30])),
    lambda d, r, t: setattr(t, "datatype", d.choice(["FP16", "BOOL", "INT8", "UINT64", "FP32", "x" * 99])),
    lambda d, r, t: t.shape.__setitem__(slice(None), d.choice([[], [0], [-1], [2**62], [1, 1, 1], [2, 1]])),
    lambda d, r, t: t.contents.int64_contents.append(2**63 - 1),
    lambda d, r, t: t.contents.fp64_contents.append(d.choice([float("inf"), 1e308, -0.0])),
    lambda d, r, t: r.raw_input_contents.extend([d.randbytes(d.randrange(20)) for _ in range(3)]),
    lambda d, r, t: r.parameters["subject"].__setattr__("double_param", d.random()),
    lambda d, r, t: r.parameters["keys"].__setattr__(
        "string_param", d.choice(['[{"a":1}]', "[]", "é", "[" * 9999])
    ),
    lambda d, r, t: r.parameters["binary_data"].__setattr__("bool_param", True),
    lambda d, r, t: r.outputs.add(name=d.choice(["probability", "probability", ""])),
]


def _random(draw, number):
    """Return a message that is right but for some things, or right but for some bytes, or noise."""
    if number % 3 == 0:
        return draw.randbytes(draw.randrange(200))
    request = typed(id=draw.choice(["", "a", "\x00", "ü"]))
    for _ in range(draw.randrange(4)):
        draw.choice(CHANGES)(draw, request, draw.choice(request.inputs))
    data = bytearray(request.SerializeToString())
    if number % 3 == 1:
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
    return bytes(data)
