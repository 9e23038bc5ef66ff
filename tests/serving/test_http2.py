"""HTTP/2 as our gRPC server speaks it: with clients of all kinds, and with bytes that no client sends."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections import Counter
from contextlib import closing

import grpc
import hpack
import numpy as np
import pytest
from serving_process import free_port, launching

from treadle.core.clock import SystemClock
from treadle.core.errors import InvalidInput
from treadle.core.records import Variant
from treadle.serving.endpoints import Endpoints
from treadle.serving.http2 import connection as limits
from treadle.serving.http2 import frames
from treadle.serving.http2.frames import Code, frame
from treadle.serving.inference_messages import SERVICE, decoded, message, parameters
from treadle.serving.inference_wire import addressed, read
from treadle.store.ledger.ledger import Ledger

METHOD = f"/{SERVICE}/ModelInfer"
LIVE = f"/{SERVICE}/ServerLive"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("http2")
    ledger = Ledger.open("sqlite:///ledger.db", root=root)
    one = [Variant(name="champion", model="delay", version=7)]
    Endpoints(ledger, SystemClock()).revise("delay", one, actor="test", reason="asked for", expected=0)
    with launching(root) as start:
        room = {"max_body": 8_000_000, "max_rows": 200_000, "max_in_flight": 2_000}
        yield start(grpc_port=free_port(), body_timeout=2, **room)
    ledger.close()


@pytest.fixture
def address(server):
    return f"127.0.0.1:{server.options['grpc_port']}"


def request(rows=1, **more):
    """Return a request with raw contents."""
    made = message("ModelInferRequest")(model_name="delay", **more)
    for name, datatype, raw in (
        ("distance", "INT64", np.full(rows, 1400, dtype="<i8").tobytes()),
        ("temp", "FP32", np.full(rows, 1.5, dtype="<f4").tobytes()),
        ("carrier", "BYTES", b"\2\0\0\0UA" * rows),
    ):
        made.inputs.add(name=name, datatype=datatype, shape=[rows])
        made.raw_input_contents.append(raw)
    return made.SerializeToString()


def answered(data):
    return message("ModelInferResponse").FromString(data)


def test_messages_larger_than_any_window_go_both_ways(address):
    options = [("grpc.max_receive_message_length", -1), ("grpc.http2.lookahead_bytes", 1 << 14)]
    with grpc.insecure_channel(address, options=options) as channel:
        calls = [channel.unary_unary(METHOD).future(request(200_000), timeout=60) for _ in range(4)]
        found = [answered(call.result()) for call in calls]

    assert [len(one.raw_output_contents[1]) for one in found] == [8 * 200_000] * 4


@pytest.mark.parametrize("how", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_unpacked(address, how):
    with grpc.insecure_channel(address) as channel:
        found = answered(channel.unary_unary(METHOD)(request(1_000), timeout=30, compression=how))

    assert found.outputs[0].shape == [1_000]


def test_many_calls_of_one_connection_and_many_connections(address):
    async def asked():
        async with grpc.aio.insecure_channel(address) as first, grpc.aio.insecure_channel(address) as second:
            calls = [
                (first, second)[n % 2].unary_unary(METHOD)(request(id=f"r{n}"), timeout=60)
                for n in range(2_000)
            ]
            return [answered(await call).id for call in calls]

    assert asyncio.run(asked()) == [f"r{n}" for n in range(2_000)]


def test_metadata_reaches_the_application_and_keeps_its_names(address):
    data = request()
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(METHOD)
        for number in range(50):  # each is a new entry of the header table, and old ones fall out of it
            more = (("tenant", "x" * 200 + str(number)), ("treadle-timeout", "30"), ("a-bin", b"\0\xff"))
            assert answered(ask(data, timeout=30, metadata=more)).model_name == "delay"
        with pytest.raises(grpc.RpcError) as refused:
            ask(data, timeout=30, metadata=(("treadle-timeout", "soon"),))

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "treadle-timeout" in refused.value.details()


def test_a_deadline_that_has_passed_is_told(address):
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(METHOD)(request(), timeout=1e-6)

    assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_text_of_a_refusal_arrives_as_it_is(address):
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(METHOD)(request(model_version="50 % ü"), timeout=30)

    assert "50 % ü" in refused.value.details()


class Raw:
    """A client that sends any bytes."""

    def __init__(self, server, *, greets=True):
        self.socket = socket.create_connection(("127.0.0.1", server.options["grpc_port"]), timeout=30)
        self._encoder, self._rest = hpack.Encoder(), b""
        if greets:
            self.send(frames.PREFACE + frames.settings({}))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def ask(self, number, method=LIVE, data=b"\0\0\0\0\0", *, flags=frames.END_HEADERS, **more):
        headers = {":method": "POST", ":scheme": "http", ":path": method, "content-type": "application/grpc"}
        block = self._encoder.encode([*(headers | more).items()])
        self.send(frame(frames.HEADERS, flags, number, block))
        if data is not None:
            self.send(frame(frames.DATA, frames.END_STREAM, number, data))

    def frames(self):
        """Yield what comes: kind, flags, stream and payload."""
        while True:
            while len(self._rest) < 9 or len(self._rest) < 9 + int.from_bytes(self._rest[:3]):
                try:
                    piece = self.socket.recv(65536)
                except ConnectionError:
                    return
                if not piece:
                    return
                self._rest += piece
            size, kind, flags = int.from_bytes(self._rest[:3]), self._rest[3], self._rest[4]
            number, payload = int.from_bytes(self._rest[5:9]), self._rest[9 : 9 + size]
            self._rest = self._rest[9 + size :]
            yield kind, flags, number, payload

    def first(self, kind):
        """Wait for a frame of a kind."""
        return next(found for found in self.frames() if found[0] == kind)

    def status(self):
        """Return the status of the next call that ends."""
        decoder = hpack.Decoder()
        for kind, flags, _, payload in self.frames():
            headers = dict(decoder.decode(payload)) if kind == frames.HEADERS else {}
            if flags & frames.END_STREAM and kind == frames.HEADERS:
                return headers
        return {}

    def close(self):
        self.socket.close()


@pytest.fixture
def raw(server):
    with closing(Raw(server)) as client:
        yield client


def answers(raw):
    """Check that a connection is as it should be."""
    raw.ask(99_999)
    return raw.status().get("grpc-status") == "0"


def test_a_ping_is_answered(raw):
    raw.send(frame(frames.PING, 0, 0, b"12345678"))

    assert raw.first(frames.PING)[1:] == (frames.ACK, 0, b"12345678")


def test_frames_that_mean_nothing_here_are_passed_over(raw):
    raw.send(frame(frames.PRIORITY, 0, 1, bytes(5)) + frame(77, 255, 3, b"x" * 100))
    raw.send(frame(frames.GOAWAY, 0, 0, bytes(8)) + frame(frames.SETTINGS, 0, 0, b"\0\x99\0\0\0\1"))

    assert answers(raw)


def test_padding_priorities_continuations_and_trailers_are_understood(raw):
    headers = {":method": "POST", ":scheme": "http", ":path": LIVE, "content-type": "application/grpc"}
    block = hpack.Encoder().encode([*headers.items()])
    raw.send(
        frame(frames.HEADERS, frames.PADDED | frames.PRIORITISED, 1, b"\3" + bytes(5) + block[:7] + bytes(3))
    )
    raw.send(frame(frames.CONTINUATION, 0, 1, block[7:9]))
    raw.send(frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[9:]))
    raw.send(frame(frames.DATA, frames.PADDED, 1, b"\2" + bytes(5) + b"xx"))
    trailers = hpack.Encoder().encode([("x-more", "1")])
    raw.send(frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, trailers))

    assert raw.status()["grpc-status"] == "0"


def test_an_answer_waits_until_its_client_has_room(server):
    with closing(Raw(server, greets=False)) as raw:
        raw.send(frames.PREFACE + frames.settings({frames.INITIAL_WINDOW: 10}))
        raw.ask(1, METHOD, b"\0" + len(request()).to_bytes(4) + request())
        first = raw.first(frames.DATA)
        raw.send(frames.settings({frames.INITIAL_WINDOW: 0}) + frames.window_update(1, 60))
        second = raw.first(frames.DATA)
        raw.send(frames.window_update(1, 1_000))
        rest = raw.first(frames.DATA)

        assert (len(first[3]), len(second[3])) == (10, 50)
        whole = first[3] + second[3] + rest[3]
        assert answered(whole[5:]).model_name == "delay"
        assert raw.status()["grpc-status"] == "0"


def test_an_answer_that_is_not_taken_is_given_up_and_the_connection_goes_on(revise, launch):
    revise(("champion", 7, 1.0))
    server = launch(grpc_port=free_port(), idle_timeout=1)

    with closing(Raw(server, greets=False)) as raw:
        raw.send(frames.PREFACE + frames.settings({frames.INITIAL_WINDOW: 0}))
        raw.ask(1, METHOD, b"\0" + len(request()).to_bytes(4) + request())
        given_up = raw.first(frames.RST_STREAM)
        raw.send(frames.settings({frames.INITIAL_WINDOW: 1_000}))

        assert given_up[2:] == (1, Code.CANCEL.to_bytes(4))
        assert answers(raw)


WRONG = {
    "no HTTP/2": (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", False),
    "a frame that is too large": (frames.HEAD.pack(0xFFFF, 255, frames.DATA, 0, 1), True),
    "data of no stream": (frame(frames.DATA, 0, 1, b"x"), True),
    "headers of a server's stream": (frame(frames.HEADERS, frames.END_HEADERS, 2, b"\x83"), True),
    "more padding than frame": (frame(frames.HEADERS, frames.PADDED | 4, 1, b"\xff\x83"), True),
    "no such header": (frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff\x7f"), True),
    "continued nothing": (frame(frames.CONTINUATION, 4, 1, b"\x83"), True),
    "interrupted headers": (frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.PING, 0, 0, bytes(8)), True),
    "headers without end": (
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.CONTINUATION, 0, 1, b"\x83" * 16_000) * 4,
        True,
    ),
    "headers that never go on": (
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.CONTINUATION, 0, 1) * 9,
        True,
    ),
    "a header list of megabytes": (
        frame(frames.HEADERS, 4, 1, b"\x40\x01a\x7f\x81\x1e" + b"x" * 4000 + b"\xbe" * 12_000),
        True,
    ),
    "half a ping": (frame(frames.PING, 0, 0, b"123"), True),
    "half a setting": (frame(frames.SETTINGS, 0, 0, b"123"), True),
    "a window too large": (frames.window_update(0, frames.LARGEST_WINDOW) * 2, True),
    "a window that grows by nothing": (frames.window_update(0, 0), True),
    "a push": (frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), True),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_client_that_does_not_keep_to_the_protocol_is_sent_away(server, name):
    data, greets = WRONG[name]
    with closing(Raw(server, greets=greets)) as raw, closing(Raw(server)) as beside:
        raw.send(data)
        code = int.from_bytes(raw.first(frames.GOAWAY)[3][4:8])

        assert code != Code.NO_ERROR
        assert next(raw.frames(), None) is None
        assert answers(beside)


def test_a_client_that_resets_all_it_begins_is_sent_away(raw):
    for number in range(1, 4 * limits.MOST_RESETS, 2):
        raw.ask(number, METHOD, None)
        if not raw.send(frames.reset(number, Code.CANCEL)):
            break

    assert int.from_bytes(raw.first(frames.GOAWAY)[3][4:8]) == Code.ENHANCE_YOUR_CALM


def test_a_client_that_sends_more_of_a_stream_than_it_was_given_room_for_is_sent_away(server):
    raw, one = Raw(server, greets=False), request(1_000)
    framed = b"\0" + len(one).to_bytes(4) + one
    raw.send(
        frames.PREFACE + frames.settings({frames.INITIAL_WINDOW: 0})
    )  # so its answers wait, and the next requests
    raw.ask(1, f"/{SERVICE}/ModelStreamInfer", None)
    for _ in range(4 * limits.STREAM_WINDOW // len(framed)):
        if not raw.send(frame(frames.DATA, 0, 1, framed)):
            break

    with closing(raw.socket):
        raw.socket.settimeout(10)
        assert int.from_bytes(raw.first(frames.GOAWAY)[3][4:8]) == Code.FLOW_CONTROL_ERROR


def test_a_stream_too_many_is_refused_and_the_others_go_on(raw):
    for number in range(1, 2 * limits.MOST_STREAMS + 2, 2):
        raw.ask(number, data=None)

    refused = raw.first(frames.RST_STREAM)

    assert refused[2:] == (2 * limits.MOST_STREAMS + 1, Code.REFUSED_STREAM.to_bytes(4))
    raw.send(frame(frames.DATA, frames.END_STREAM, 1, bytes(5)))
    assert raw.status()["grpc-status"] == "0"


def test_a_request_that_does_not_come_is_given_up(raw):
    raw.ask(1, METHOD, None)
    raw.send(frame(frames.DATA, 0, 1, b"\0\0\0\1\0half"))

    headers = raw.status()

    assert headers["grpc-status"] == "4"
    assert "did not come" in headers["grpc-message"]


@pytest.mark.parametrize(
    ("data", "more", "status"),
    [
        (b"", {}, "3"),
        (b"\0\0\0\0\5abc", {}, "3"),
        (b"\1\0\0\0\3abc", {}, "3"),
        (b"\1\0\0\0\3abc", {"grpc-encoding": "gzip"}, "3"),
        (bytes(5), {"grpc-encoding": "snappy"}, "12"),
        (bytes(5), {"grpc-timeout": "soon"}, "3"),
        (bytes(10), {}, "3"),
        (b"\0\x7f\xff\xff\xff" + b"x" * 100, {}, "3"),
    ],
)
def test_calls_that_are_none_have_a_status(raw, data, more, status):
    raw.ask(1, LIVE, data, **more)

    assert raw.status()["grpc-status"] == status
    assert answers(raw)


def test_what_is_no_call_of_grpc_is_told_so(raw):
    raw.ask(1, **{"content-type": "application/json"})

    assert raw.status()[":status"] == "415"


def test_random_frames_end_no_server(server):
    draw = random.Random(5)
    for _ in range(60):
        with closing(Raw(server)) as raw:
            for _ in range(20):
                kind, flags = draw.randrange(11), draw.randrange(256)
                raw.send(
                    frame(kind, flags, draw.choice([0, 1, 3, 2**31 - 1]), draw.randbytes(draw.randrange(40)))
                )

    with closing(Raw(server)) as raw:
        assert answers(raw)
    assert server.process.poll() is None


def test_calls_that_come_while_a_server_ends_are_answered_or_not_begun(revise, launch):
    revise(("champion", 7, 1.0))
    codes, over = Counter(), threading.Event()
    server = launch(grpc_port=free_port(), drain_wait=0.3)

    def asks():
        data = request()
        with grpc.insecure_channel(f"127.0.0.1:{server.options['grpc_port']}") as channel:
            ask = channel.unary_unary(METHOD)
            while not over.is_set():
                try:
                    ask(data, timeout=30)
                    codes["OK"] += 1
                except grpc.RpcError as error:
                    codes[error.code().name] += 1
                    if server.process.poll() is not None:
                        return

    threads = [threading.Thread(target=asks) for _ in range(4)]
    for thread in threads:
        thread.start()
    while codes["OK"] < 200:
        over.wait(0.01)
    server.process.terminate()
    ended = server.process.wait(60)
    over.set()
    for thread in threads:
        thread.join()

    assert ended == 0
    assert set(codes) <= {"OK", "UNAVAILABLE"}, codes


def as_protobuf(data):
    """Return what protobuf reads in a request."""
    found = decoded("ModelInferRequest", data)
    return (
        (found.model_name, found.model_version, found.id, sorted(parameters(found.parameters))),
        [(t.name, t.datatype, tuple(t.shape), t.contents) for t in found.inputs],
        {output.name: dict(parameters(output.parameters)) for output in found.outputs},
        list(found.raw_input_contents),
    )


def test_requests_are_read_as_protobuf_reads_them():
    draw = random.Random(3)
    for number in range(3_000):
        data = bytearray(some_request(draw))
        for _ in range(draw.choice([0, 0, 1, 3])):
            data[draw.randrange(len(data))] = draw.randrange(256)
        expected = outcome(as_protobuf, bytes(data))
        found = outcome(read, bytes(data))
        if expected is None:
            assert found is None, number
            continue
        tensors = [(t.name, t.datatype, t.shape, t.contents) for t in found.inputs]
        told = (found.name, found.version, found.id, sorted(found.parameters.items()))
        assert repr((told, tensors, found.outputs, found.raw)) == repr(expected), number


def some_request(draw):
    """Return a request with some of everything."""
    made = message("ModelInferRequest")(
        model_name=draw.choice(["delay", "d" * 200, "ü"]),
        model_version=draw.choice(["", "7"]),
        id=draw.choice(["", "r1"]),
    )
    if draw.random() < 0.5:
        made.parameters["subject"].string_param = draw.choice(["p", "x" * 300])
        made.parameters["n"].int64_param = draw.randrange(9)
    for place in range(draw.randrange(4)):
        tensor = made.inputs.add(
            name=f"t{place}", datatype="FP32", shape=[draw.randrange(3)] * draw.randrange(3)
        )
        tensor.contents.fp32_contents.extend([1.5] * draw.choice([0, 0, 2, 90]))
        made.raw_input_contents.append(draw.randbytes(draw.choice([0, 4, 200])))
    if draw.random() < 0.3:
        made.outputs.add(name="probability").parameters["binary_data"].bool_param = True
    return made.SerializeToString()


def outcome(reads, data):
    """Return what is read; None: the bytes are refused."""
    try:
        return reads(data)
    except InvalidInput:
        return None


def test_the_model_of_a_request_is_found_without_reading_it():
    assert addressed(request(model_version="7")) == ("delay", "7")
    assert addressed(request()) == ("delay", "")
    assert addressed(b"\x12\x017\x0a\x05delay") == ("delay", "7")
    assert addressed(b"") == ("", "")


def test_a_client_is_told_of_no_more_streams_than_requests_that_are_taken_on(tmp_path):
    ledger = Ledger.open("sqlite:///ledger.db", root=tmp_path)
    one = [Variant(name="champion", model="delay", version=7)]
    Endpoints(ledger, SystemClock()).revise("delay", one, actor="test", reason="asked for", expected=0)
    ledger.close()
    with launching(tmp_path) as start:
        port = start(grpc_port=free_port(), max_in_flight=4).options["grpc_port"]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary(METHOD)
            calls = [ask.future(request(1), timeout=60) for _ in range(200)]

            codes = Counter(call.code() for call in calls)

    assert codes == {grpc.StatusCode.OK: 200}  # what is beyond waits at the client, and none is refused
