from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pika
import pytest

import services
import source_places as places
from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.data.contracts import Contract
from treadle.data.datasets import Dataset
from treadle.data.sources.stream import Stream


class Row(Contract):
    id: int
    name: str | None = None


@pytest.fixture(scope="module")
def nats_server(tmp_path_factory):
    with services.PrivateNats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="module")
def rabbitmq_server(tmp_path_factory):
    with services.rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as url:
        yield url


class Queue:
    """A queue of RabbitMQ."""

    def __init__(self, server, channel, name):
        self.server, self.channel, self.name = server, channel, name
        self.port = int(server.rpartition(":")[2])

    def address(self, port=None):
        server = self.server if port is None else self.server.replace(f":{self.port}", f":{port}")
        return f"{server}/{self.name}"

    def put(self, *bodies):
        for body in bodies:
            self.channel.basic_publish("", self.name, body)

    def count(self):
        return self.channel.queue_declare(self.name, passive=True).method.message_count


class JetStream:
    """A stream of NATS, whose consumer delivers again after a second what was not acknowledged."""

    def __init__(self, server, name):
        self.server, self.name, self.port = server, name, server.port

    def address(self, port=None):
        return f"nats://127.0.0.1:{port or self.port}/{self.name}?durable=treadle"

    def put(self, *bodies):
        asyncio.run(places.publish(self.server.url, f"{self.name}.rows", bodies))

    def count(self):
        info = asyncio.run(
            places.in_jetstream(self.server.url, lambda js: js.consumer_info(self.name, "treadle"))
        )
        return info.num_pending + info.num_ack_pending


@pytest.fixture
def rabbitmq(rabbitmq_server):
    name = f"treadle-{uuid.uuid4().hex[:12]}"
    with closing(pika.BlockingConnection(pika.URLParameters(f"{rabbitmq_server}/%2F"))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(name, durable=True)
        yield Queue(rabbitmq_server, channel, name)
        channel.queue_delete(name)


@pytest.fixture
def nats(nats_server):
    from nats.js.api import AckPolicy, ConsumerConfig

    name = f"treadle-{uuid.uuid4().hex[:12]}"
    consumer = ConsumerConfig(
        durable_name="treadle", ack_policy=AckPolicy.EXPLICIT, ack_wait=1, max_ack_pending=-1
    )

    async def make(js):
        await js.add_stream(name=name, subjects=[f"{name}.>"])
        await js.add_consumer(name, consumer)

    asyncio.run(places.in_jetstream(nats_server.url, make))
    return JetStream(nats_server, name)


@pytest.fixture(params=["rabbitmq", "nats"])
def broker(request):
    """A queue or stream of each broker."""
    return request.getfixturevalue(request.param)


def stream(broker, *, port=None, **options):
    return Stream(broker.address(port), **{"batch_seconds": 2, **options})


def messages(*ids):
    return [json.dumps({"id": i, "name": f"n{i}"}).encode() for i in ids]


def test_messages_become_rows_and_are_acknowledged_after_the_commit(datasets, broker):
    broker.put(*messages(*range(250)))
    dataset = Dataset("rows", source=stream(broker, batch_rows=100), contract=Row, key="id")

    last = datasets.ingest(dataset)

    assert [one.accepted for one in datasets.versions("rows")] == [100, 100, 50]
    assert last.rows == 250
    assert broker.count() == 0


def test_nothing_is_acknowledged_before_the_commit(tmp_path, broker):
    broker.put(*messages(1, 2, 3))

    with stream(broker).batches(tmp_path, after=None, key=("id",)) as batches:
        assert next(batches).raw.frame["id"].to_list() == [1, 2, 3]

    with stream(broker).batches(tmp_path, after=None, key=("id",)) as batches:
        assert next(batches).raw.frame["id"].to_list() == [1, 2, 3]


def test_an_empty_queue_is_no_version_and_no_waiting(datasets, rabbitmq):
    dataset = Dataset("rows", source=stream(rabbitmq, batch_seconds=600), contract=Row, key="id")

    version = datasets.ingest(dataset)

    assert version is None or version.rows == 0


def test_what_comes_while_reading_waits_for_the_next_time(tmp_path, broker):
    broker.put(*messages(*range(4)))
    read = []

    with stream(broker, batch_rows=2).batches(tmp_path, after=None, key=("id",)) as batches:
        for batch in batches:
            batch.acknowledge()
            read += batch.raw.frame["id"].to_list()
            broker.put(*messages(100 + len(read)))

    assert read == [0, 1, 2, 3]
    assert broker.count() == 2


def test_a_message_that_is_no_row_goes_to_quarantine_and_holds_nothing_up(datasets, broker):
    broker.put(*messages(1), b"\xff nonsense", b"[1]", b'{"id": "x"}', b'{\n "id": 2,\n "name": null\n}')
    dataset = Dataset("rows", source=stream(broker), contract=Row, key="id")

    version = datasets.ingest(dataset)

    assert datasets.read("rows")["id"].sort().to_list() == [1, 2]
    assert (version.landed, version.quarantined) == (5, 3)
    reasons = datasets.quarantine("rows")["_reason"].to_list()
    assert "nonsense" in reasons[0]
    assert "[1]" in reasons[1]
    assert broker.count() == 0


def test_messages_of_messagepack(tmp_path, broker):
    broker.put(msgspec.msgpack.encode({"id": 1, "name": "Zoë"}), b"\xc1")

    with stream(broker, format="msgpack").batches(tmp_path, after=None, key=("id",)) as batches:
        raw = next(batches).raw

    assert raw.frame.row(0) == (1, "Zoë")
    assert list(raw.broken) == [2]
    assert "c1 (hexadecimal) is not a MessagePack map" in raw.broken[2]


class Deadly(Stream):
    """A stream whose reader is killed after a commit, before the broker hears of it."""

    def batches(self, root, *, after, key):
        opened = super().batches(root, after=after, key=key)

        class Opened:
            def __enter__(self):
                return (
                    replace(batch, acknowledge=lambda: os.kill(os.getpid(), signal.SIGKILL))
                    for batch in opened.__enter__()
                )

            def __exit__(self, *error):
                return opened.__exit__(*error)

        return Opened()


def ingest_and_die(root: Path, address: str) -> None:
    """What the child process does."""
    from treadle.core.clock import SystemClock
    from treadle.data.datasets import Datasets
    from treadle.store.ledger.ledger import Ledger
    from treadle.store.tables.tables import Tables

    service = Datasets(
        ledger=Ledger.open("sqlite:///ledger.db", root=root),
        tables=Tables.open("tables", root=root, options={}),
        clock=SystemClock(),
        root=root,
    )
    service.ingest(Dataset("rows", source=Deadly(address, batch_rows=40), contract=Row, key="id"))


def test_killed_between_the_commit_and_the_acknowledgement_nothing_is_lost_or_twice(
    datasets, tmp_path, broker
):
    """A real process, a real broker, kill -9: the messages come again, and their rows do not."""
    broker.put(*messages(*range(100)))

    environment = {**os.environ, "PYTHONPATH": str(Path(services.__file__).parent)}
    command = [sys.executable, __file__, str(tmp_path), broker.address()]
    child = subprocess.run(command, check=False, env=environment)
    first = datasets.read("rows").height
    dataset = Dataset("rows", source=stream(broker, batch_rows=40, batch_seconds=5), contract=Row, key="id")
    while broker.count():
        datasets.ingest(dataset)

    assert child.returncode == -signal.SIGKILL
    assert first == 40
    assert datasets.read("rows")["id"].sort().to_list() == list(range(100))
    assert datasets.version("rows").rows == 100


def test_a_connection_that_breaks_is_told_and_nothing_is_lost(datasets, broker):
    broker.put(*messages(*range(30)))
    with services.Wire(broker.port) as wire:
        source = stream(broker, port=wire.port, batch_rows=10)
        with source.batches(Path(), after=None, key=("id",)) as batches:
            next(batches)
            wire.cut()

            with pytest.raises(SourceUnreadable, match="does not answer.*Nothing is lost"):
                next(batches)

        dataset = Dataset("rows", source=replace(source, batch_seconds=5), contract=Row, key="id")
        while broker.count():
            datasets.ingest(dataset)
    assert datasets.version("rows").rows == 30


def test_a_broker_that_is_gone_at_the_acknowledgement_delivers_again(datasets, rabbitmq):
    rabbitmq.put(*messages(*range(10)))
    with services.Wire(rabbitmq.port) as wire:
        source = stream(rabbitmq, port=wire.port, batch_rows=5)
        with source.batches(Path(), after=None, key=("id",)) as batches:
            batch = next(batches)
            wire.cut()
            batch.acknowledge()

            with pytest.raises(SourceUnreadable):
                next(batches)

    assert datasets.ingest(Dataset("rows", source=stream(rabbitmq), contract=Row, key="id")).rows == 10


def test_a_killed_nats_server_keeps_what_was_not_acknowledged(datasets, nats, nats_server):
    nats.put(*messages(*range(20)))
    source = stream(nats, batch_rows=10)
    with source.batches(Path(), after=None, key=("id",)) as batches:
        next(batches)
        nats_server.kill()
        with pytest.raises(SourceUnreadable, match="does not answer"):
            next(batches)
    with (
        pytest.raises(SourceUnreadable, match="does not answer"),
        source.batches(Path(), after=None, key=("id",)),
    ):
        pass
    nats_server.start()

    dataset = Dataset("rows", source=stream(nats, batch_seconds=5), contract=Row, key="id")
    while nats.count():
        datasets.ingest(dataset)

    assert datasets.version("rows").rows == 20


def test_a_subject_is_a_part_of_a_stream(tmp_path, nats_server):
    name = f"treadle-{uuid.uuid4().hex[:12]}"
    asyncio.run(
        places.in_jetstream(nats_server.url, lambda js: js.add_stream(name=name, subjects=[f"{name}.*"]))
    )
    for subject, i in (("a", 1), ("b", 2), ("a", 3)):
        asyncio.run(places.publish(nats_server.url, f"{name}.{subject}", messages(i)))

    source = Stream(f"{nats_server.url}/{name}?durable=d&subject={name}.a")
    with source.batches(tmp_path, after=None, key=("id",)) as batches:
        assert next(batches).raw.frame["id"].to_list() == [1, 3]


def test_a_consumer_that_would_lose_messages_is_refused(nats_server):
    from nats.js.api import AckPolicy, ConsumerConfig

    name = f"treadle-{uuid.uuid4().hex[:12]}"

    async def make(js):
        await js.add_stream(name=name, subjects=[f"{name}.>"])
        await js.add_consumer(name, ConsumerConfig(durable_name="d", ack_policy=AckPolicy.NONE))

    asyncio.run(places.in_jetstream(nats_server.url, make))
    source = Stream(f"{nats_server.url}/{name}?durable=d")

    with (
        pytest.raises(SourceUnreadable, match="does not wait for each acknowledgement"),
        source.batches(Path(), after=None, key=()),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("amqp://guest:s3cret@127.0.0.1:1/q", "127.0.0.1:1/q does not answer"),
        ("nats://ann:s3cret@127.0.0.1:1/s?durable=d", "127.0.0.1:1/s.* does not answer"),
    ],
)
def test_a_broker_that_is_not_there_is_told_without_secrets(address, told):
    with (
        pytest.raises(SourceUnreadable, match=told) as caught,
        Stream(address).batches(Path(), after=None, key=()),
    ):
        pass

    assert "s3cret" not in str(caught.value) + json.dumps(Stream(address).spec())


def test_a_queue_that_is_not_there_and_a_wrong_password_are_told(rabbitmq_server):
    for address, told in (
        (f"{rabbitmq_server}/nobody-made-this", "no queue 'nobody-made-this'"),
        (rabbitmq_server.replace(":guest@", ":wrong@") + "/q", "refuses this user"),
        (f"{rabbitmq_server}/nowhere/q", "refuses this user or this virtual host"),
    ):
        with (
            pytest.raises(SourceUnreadable, match=told),
            Stream(address).batches(Path(), after=None, key=()) as batches,
        ):
            next(batches)


@pytest.mark.parametrize(
    "options",
    [
        {"address": "kafka://host/topic"},
        {"address": "amqp://host"},
        {"address": "nats://host/stream"},
        {"address": "nats://host/stream?durable=d&durabel=e"},
        {"address": "amqp://host/q", "format": "avro"},
        {"address": "amqp://host/q", "batch_rows": 0},
        {"address": "amqp://host/q", "batch_seconds": 0},
    ],
)
def test_declarations_that_cannot_hold_are_refused(options):
    with pytest.raises(InvalidDeclaration, match="Expected"):
        Stream(**options)


if __name__ == "__main__":
    ingest_and_die(Path(sys.argv[1]), sys.argv[2])
