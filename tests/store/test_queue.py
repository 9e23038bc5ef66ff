from __future__ import annotations

import pytest

import services
from treadle.core import plugins
from treadle.core.errors import SettingsError, StoreUnavailable
from treadle.store.queue.queue import Queue
from treadle.testing.queue import CRASHES, QueueContract


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory):
    with services.rabbitmq(tmp_path_factory.mktemp("rabbitmq") / "server") as url:
        yield url


@pytest.fixture(params=plugins.available("queue"))
def queue_url(request, tmp_path):
    """The URL of an empty queue, on each back end."""
    if request.param == "embedded":
        yield str(tmp_path / "queue")
    elif request.param == "rabbitmq":
        server = request.getfixturevalue("rabbitmq_server")
        with services.random_queue(server) as url:
            yield url
    else:
        pytest.fail(f"Say in tests/store/test_queue.py where a queue on {request.param!r} can be tried")


@pytest.fixture
def open_queue(queue_url, tmp_path):
    opened = []

    def make(**more):
        given = {"lease": 0.5, "crashes": CRASHES, "timeout": 5.0, **more}
        opened.append(Queue.open(queue_url, root=tmp_path, **given))
        return opened[-1]

    yield make
    for queue in opened:
        queue.close()


class TestQueue(QueueContract):
    pass


def test_an_id_that_is_there_is_kept_once(tmp_path):
    queue = Queue.open("queue", root=tmp_path)

    queue.put([("a", b"1"), ("a", b"2")])
    queue.put([("a", b"3")])

    assert [m.body for m in queue.take(5)] == [b"1"]
    queue.put([("a", b"4")])
    assert queue.state() == (0, 1, 0)
    queue.close()


def test_a_lease_is_kept_as_long_as_it_is_extended(tmp_path):
    first, second = (Queue.open("queue", root=tmp_path, lease=0.4) for _ in range(2))
    first.put([("a", b"1")])
    taken = first.take(1)

    for _ in range(4):
        assert second.take(1, wait=0.2) == []
        first.extend(taken)

    assert [m.delivery for m in second.take(1, wait=1.4)] == [2]
    first.close()
    second.close()


def test_a_file_that_was_taken_away_is_told(tmp_path):
    queue = Queue.open("queue", root=tmp_path)
    queue.put([("a", b"1")])
    (tmp_path / "queue" / "queue.db").unlink()

    with pytest.raises(StoreUnavailable, match="taken away"):
        queue.put([("b", b"2")])
    queue.close()


def test_a_damaged_file_is_told(tmp_path):
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "queue.db").write_bytes(b"nonsense" * 2_000)
    queue = Queue.open("queue", root=tmp_path)

    with pytest.raises(StoreUnavailable, match="damaged"):
        queue.put([("b", b"2")])


def test_a_broker_that_is_not_there_is_told_in_time(tmp_path):
    (port,) = services.free_ports(1)
    queue = Queue.open(f"amqp://127.0.0.1:{port}/jobs", root=tmp_path, timeout=0.3)

    for _ in range(3):  # the second and third fail at once
        with pytest.raises(StoreUnavailable, match="does not answer"):
            queue.put([("a", b"1")])
    queue.close()


def test_a_url_without_a_host_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="names no broker"):
        Queue.open("amqp:///jobs", root=tmp_path)
