from __future__ import annotations

import asyncio
import json
import threading
import uuid
from contextlib import closing

import numpy as np
import pika
import pytest

import services
from treadle.core import plugins
from treadle.core.clock import SystemClock, monotonic
from treadle.core.errors import InvalidInput, StoreUnavailable
from treadle.core.records import Revision, Variant
from treadle.core.signature import Field, Signature
from treadle.serving import stream
from treadle.serving.dataplane import Dataplane
from treadle.serving.pump import Pump
from treadle.serving.stream import Incoming, Outgoing
from treadle.testing.streams import Ends, StreamContract


@pytest.fixture(scope="module")
def rabbitmq_server(tmp_path_factory):
    with services.rabbitmq(tmp_path_factory.mktemp("rabbitmq") / "server") as url:
        yield url


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory):
    with services.PrivateNats(tmp_path_factory.mktemp("nats")) as server:
        yield server.url


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    with services.PrivateRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(params=plugins.available("stream"))
def ends(request):
    yield from PLACES[request.param](request)


def _rabbitmq(request):
    server, name = request.getfixturevalue("rabbitmq_server"), f"treadle-{uuid.uuid4().hex[:12]}"
    with closing(pika.BlockingConnection(pika.URLParameters(f"{server}/%2F"))) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})

        def parked():
            method, properties, body = channel.basic_get(f"{name}.parked", auto_ack=True)
            return [(properties.message_id, body, properties.headers["treadle-reason"])] if method else []

        yield Ends(f"{server}/{name}", f"{server}/{name}", parked)
        for queue in (name, f"{name}.parked"):
            channel.queue_delete(queue)


def _nats(request):
    import nats
    from nats.js.api import ConsumerConfig

    server, name = request.getfixturevalue("nats_server"), f"t{uuid.uuid4().hex[:12]}"

    async def do(work):
        client = await nats.connect(server)
        try:
            return await work(client.jetstream())
        finally:
            await client.close()

    async def make(js):
        await js.add_stream(name=name, subjects=[f"{name}.in"])
        await js.add_consumer(name, ConsumerConfig(durable_name="d", ack_wait=1.0, ack_policy="explicit"))

    async def read(js):
        found = await js.get_msg(f"{name}-parked", 1)
        return [(found.headers["Nats-Msg-Id"], found.data, found.headers["Treadle-Reason"])]

    asyncio.run(do(make))
    yield Ends(f"{server}/{name}?durable=d", f"{server}/{name}.in", lambda: asyncio.run(do(read)))


def _redis(request):
    import redis

    server, name = request.getfixturevalue("redis_server"), uuid.uuid4().hex[:12]

    def parked():
        with redis.Redis.from_url(server) as client:
            found = client.xrange(f"{name}:parked")
        return [(one[b"id"].decode(), one[b"body"], one[b"reason"].decode()) for _, one in found]

    yield Ends(f"{server}?stream={name}&idle=300", f"{server}?stream={name}", parked)


PLACES = {"rabbitmq": _rabbitmq, "nats": _nats, "redis": _redis}


class TestStreams(StreamContract):
    pass


def test_an_address_of_no_broker_is_refused():
    with pytest.raises(InvalidInput, match=r"kafka://host/x' is the address of no broker"):
        stream.source("kafka://me:secret@host/x")


@pytest.mark.parametrize(
    ("connect", "address", "message"),
    [
        (stream.source, "amqp://h:abc/q", "The address is none"),
        (stream.sink, "nats://[::1/q", "The address is none"),
        (stream.source, "redis://localhost:1/0?stream=a&idle=soon", "'idle' of the address is 'soon'"),
        (stream.sink, "redis://localhost:1/0?stream=a&maxlen=0", "'maxlen' of the address is '0'"),
    ],
)
def test_what_is_wrong_with_an_address_is_told(connect, address, message):
    with pytest.raises(InvalidInput, match=message):
        connect(address)


class Doubling:
    """Doubles a number; 13 is more than it can bear."""

    signature = Signature(
        inputs=(Field(name="x", kind="float"),), outputs=(Field(name="prediction", kind="float"),)
    )

    def predict(self, columns):
        x = columns["x"].astype(np.float64)
        return {"prediction": np.where(x == 13, np.nan, 2 * x)}


class Log:
    def __init__(self):
        self.ids = []

    def put(self, entry):
        self.ids.append(entry.request_id)
        return True


@pytest.fixture
def plane():
    revision = Revision(
        endpoint="delay",
        revision=1,
        variants=(Variant(name="champion", model="delay", version=1),),
        created_at=SystemClock().now(),
        actor="test",
        reason="asked for",
    )
    plane = Dataplane(lambda: {"delay": revision}, lambda _: Doubling(), clock=SystemClock())
    plane.refresh()
    return plane


class Faulty:
    """A real end that breaks now and then, after it has done what was asked."""

    def __init__(self, inner, *, every):
        self._inner, self._every, self._calls = inner, every, 0

    def __getattr__(self, name):
        verb = getattr(self._inner, name)

        def call(*given, **options):
            found = verb(*given, **options)
            self._calls += name in {"publish", "acknowledge"}
            if name in {"publish", "acknowledge"} and self._calls % self._every == 0:
                raise StoreUnavailable("the wire broke")
            return found

        return call


def test_messages_are_answered_at_least_once_with_ids_by_which_repetitions_are_told(
    plane, redis_server, caplog
):
    names = {way: uuid.uuid4().hex[:8] for way in ("in", "out")}
    given = f"{redis_server}?stream={names['in']}&idle=100"
    taken = f"{redis_server}?stream={names['out']}"
    with closing(stream.sink(f"{redis_server}?stream={names['in']}")) as sender:
        sender.publish([Outgoing(f"m{n}", json.dumps({"x": n}).encode()) for n in range(60)])
        sender.publish(
            [Outgoing("wrong", b'{"x": "many"}'), Outgoing("broken", b"{"), Outgoing("list", b"[1]")]
        )
        sender.publish([Outgoing("body", b'{"rows": [{"x": 1}, {"x": 2}]}')])
    log, calls = Log(), iter(range(1, 1000))
    pump = Pump(
        "delay",
        plane,
        source=lambda: Faulty(stream.source(given), every=2),
        sink=lambda: Faulty(stream.sink(taken), every=2 + next(calls) % 3),
        log=log,
        batch=16,
    )

    thread = threading.Thread(target=pump.run)
    thread.start()
    end = monotonic() + 240
    answers = {}
    with closing(stream.source(taken)) as reader:
        while len(answers) < 60 and monotonic() < end:
            for message in reader.take(100, wait=0.2):
                answer = json.loads(message.body)
                assert answers.setdefault(message.id, answer) == answer
    pump.stop()
    thread.join(30)

    assert {f"m{n}" for n in range(60)} - {"m13"} | {"body"} == set(answers)
    assert answers["m7"]["predictions"] == [{"prediction_id": "m7-0", "prediction": 14.0}]
    assert [p["prediction"] for p in answers["body"]["predictions"]] == [2.0, 4.0]
    import redis

    with redis.Redis.from_url(redis_server) as client:
        aside = {
            one[b"id"].decode(): one[b"reason"].decode() for _, one in client.xrange(f"{names['in']}:parked")
        }
        assert client.xpending(names["in"], "treadle")["pending"] == 0
    assert set(aside) == {"wrong", "broken", "list", "m13"}
    assert aside["wrong"].startswith("rows[0].x: Field 'x' is 'many'")
    assert set(log.ids) == set(answers)


def test_what_waits_for_its_answer_to_be_taken_is_not_put_aside(plane):
    taken, parked = [], []

    class Source:
        """Counts deliveries as brokers do: what is given back comes again."""

        shown = "a broker"
        deliveries = acknowledged = 0

        def take(self, limit, *, wait):
            if self.acknowledged:
                return []
            Source.deliveries += 1
            return [Incoming("m1", b'{"x": 1}', Source.deliveries, None)]

        def acknowledge(self, messages):
            Source.acknowledged += 1

        def park(self, message, reason):
            parked.append(reason)
            Source.acknowledged += 1

        def close(self):
            pass

    class Sink:
        refusals = 8

        def publish(self, messages):
            if Sink.refusals:
                Sink.refusals -= 1
                raise StoreUnavailable("the sink is full")
            taken.extend(message.id for message in messages)
            pump.stop()

        def close(self):
            pass

    pump = Pump("delay", plane, source=Source, sink=Sink, log=Log())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("treadle.serving.pump._LONGEST_PAUSE", 0.01)
        patch.setattr("treadle.serving.pump._FIRST_PAUSE", 0.01)
        stopper = threading.Timer(20, pump.stop)
        stopper.start()
        pump.run()
        stopper.cancel()

    assert (taken, parked, Source.acknowledged) == (["m1"], [], 1)


def test_while_answers_are_not_taken_nothing_more_is_taken_in(plane, redis_server):
    name = uuid.uuid4().hex[:8]
    with closing(stream.sink(f"{redis_server}?stream={name}")) as sender:
        sender.publish([Outgoing(f"m{n}", b'{"x": 1}') for n in range(100)])

    class Closed:
        def publish(self, messages):
            raise StoreUnavailable("the sink is full")

        def close(self):
            pass

    pump = Pump(
        "delay", plane, source=lambda: stream.source(f"{redis_server}?stream={name}&idle=60000"), sink=Closed,
        log=Log(), batch=10,
    )  # fmt: skip
    thread = threading.Thread(target=pump.run)
    thread.start()
    threading.Event().wait(1.5)
    pump.stop()
    thread.join(30)

    import redis

    with redis.Redis.from_url(redis_server) as client:
        held = client.xpending(name, "treadle")["pending"]
    assert 0 < held <= 50
    assert pump.answered == 0
