"""R8, R9 and R10: workers and brokers are killed, messages kill their workers, and the broker runs out of memory."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest

import services
from pace import FULL, within
from treadle.core.errors import LeaseLost, StoreUnavailable
from treadle.store.queue.queue import Queue

PROGRAM = Path(__file__).with_name("queue_worker.py")


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("pika").setLevel(logging.CRITICAL)


class Workers:
    """Some workers, of which one is killed now and then; another takes its place."""

    def __init__(self, root, url, *, count, lease, poison="", **environment):
        self._command = [sys.executable, str(PROGRAM), str(root), url, str(lease), poison]
        self._environment = {**os.environ, **environment}
        for folder in ("effects", "again"):
            (root / folder).mkdir()
        self._all = [self._start() for _ in range(count)]
        self.killed = 0

    def kill_one(self):
        victim = self._all.pop(0)
        if victim.poll() is None:
            victim.send_signal(signal.SIGKILL)
            self.killed += 1
        victim.wait()
        self._all.append(self._start())

    def replace_dead(self):
        for worker in [one for one in self._all if one.poll() is not None]:
            self._all.remove(worker)
            self._all.append(self._start())

    def close(self):
        for worker in self._all:
            worker.kill()
            worker.wait()

    def _start(self):
        return subprocess.Popen(self._command, env=self._environment)


@contextmanager
def workers(root, url, **options):
    found = Workers(root, url, **options)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.slow
@pytest.mark.timeout(10_000)
def test_r8_workers_that_are_killed_lose_nothing_and_do_nothing_twice(tmp_path):
    jobs, lease, every = (200_000, 2.0, 2.0) if FULL else (600, 1.0, 1.0)
    url = str(tmp_path / "queue")
    queue = Queue.open(url, root=tmp_path, lease=lease, timeout=30.0)
    names = [f"j{n:06d}" for n in range(jobs)]
    for start in range(0, jobs, 200):
        queue.put([(name, b"") for name in names[start : start + 200]])
    queue.put([(names[0], b"")])  # again: it is kept once

    with workers(tmp_path, url, count=4, lease=lease) as busy:
        end = monotonic() + 9_000
        while sum(queue.state()[:2]) and monotonic() < end:  # type: ignore[arg-type]
            threading.Event().wait(every)
            busy.kill_one()

    assert queue.state() == (0, 0, 0)
    assert sorted(path.name for path in (tmp_path / "effects").iterdir()) == names
    assert busy.killed > 0
    queue.close()


def test_r8_what_a_killed_worker_had_is_taken_within_its_lease_and_a_second(tmp_path):
    url, lease = str(tmp_path / "queue"), 1.0
    queue = Queue.open(url, root=tmp_path, lease=lease, timeout=30.0)
    queue.put([("poison", b"")])
    with workers(tmp_path, url, count=1, lease=lease, poison="poison") as busy:
        while busy._all[0].poll() is None:
            threading.Event().wait(0.01)
        died = monotonic()
        found = queue.take(1, wait=30.0)
        took = monotonic() - died

    assert [message.delivery for message in found] == [2]
    assert took <= lease + within(1.0)
    queue.close()


def test_r8_a_message_that_kills_its_third_worker_is_parked_with_the_reason(tmp_path):
    url = str(tmp_path / "queue")
    queue = Queue.open(url, root=tmp_path, lease=0.5, timeout=30.0)
    queue.put([("poison", b""), ("good", b"")])
    with workers(tmp_path, url, count=1, lease=0.5, poison="poison") as busy:
        end = monotonic() + 180
        while not queue.parked() and monotonic() < end:
            busy.replace_dead()
            threading.Event().wait(0.05)
        while not (tmp_path / "effects" / "good").exists() and monotonic() < end:
            busy.replace_dead()
            threading.Event().wait(0.05)

    ((name, _, reason),) = queue.parked()
    assert name == "poison"
    assert "3 times" in reason
    assert [path.name for path in (tmp_path / "effects").iterdir()] == ["good"]
    queue.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A RabbitMQ of our own, which the tests may kill."""
    root = tmp_path_factory.mktemp("rabbitmq")
    with services.PrivateRabbitMQ(root / "server") as server:
        queue = Queue.open(f"{server.url}/r9", root=root, crashes=1000, timeout=5.0)
        queue.put([("first", b"")])
        queue.close()
        server.made = monotonic()
        yield server


def test_r10_a_message_that_kills_its_consumers_is_parked_after_the_limit(tmp_path, broker):
    """The limit 3 of the broker is the fourth delivery: `crashes` counts these."""
    url = f"{broker.url}/r10"
    queue = Queue.open(url, root=tmp_path, crashes=4, timeout=5.0)
    queue.put([("poison", b"why")])

    deliveries = []
    for _ in range(4):
        victim = Queue.open(url, root=tmp_path, crashes=4, timeout=5.0)
        deliveries += [message.delivery for message in victim.take(1, wait=10.0)]
        victim.close()
    end = monotonic() + 60
    while not queue.parked() and monotonic() < end:
        threading.Event().wait(0.05)

    assert deliveries == [1, 2, 3, 4]
    assert [(one.id, one.body) for one in queue.parked()] == [("poison", b"why")]
    assert queue.take(1) == []
    queue.close()


def test_r10_a_broker_that_is_short_of_memory_is_told_within_a_second(tmp_path, broker):
    queue = Queue.open(f"{broker.url}/alarm", root=tmp_path, timeout=0.8)
    queue.put([("before", b"")])
    broker.control("set_vm_memory_high_watermark", "0.0000001")
    try:
        took, refused = [], 0
        kept = {"before", "after"}
        for number in range(20):
            begun = monotonic()
            try:
                queue.put([(f"during-{number}", b"")])
                kept.add(f"during-{number}")
            except StoreUnavailable:
                refused += 1
            took.append(monotonic() - begun)
            threading.Event().wait(0.3)
    finally:
        broker.control("set_vm_memory_high_watermark", "0.4")

    end = monotonic() + 120
    while monotonic() < end:
        with suppress(StoreUnavailable):
            queue.put([("after", b"")])
            break
    found = set()
    while message := queue.take(1, wait=1.0):
        found.add(message[0].id)
        queue.acknowledge(message[0])
    # The broker says that it takes nothing, so nobody waits for a confirmation; at most for a connection, as long as is allowed.
    assert max(took) <= within(1.0, busy=2)
    assert sorted(took)[len(took) // 2] < 0.2
    assert refused >= 4  # it takes the broker a moment to look at its memory
    assert kept <= found
    queue.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_r9_a_broker_that_is_killed_loses_nothing_that_it_confirmed(tmp_path, broker):
    kills = 20 if FULL else 2
    queue = Queue.open(f"{broker.url}/r9", root=tmp_path, crashes=1000, timeout=2.0)
    confirmed: list[str] = []
    taken: list[str] = []
    stop = threading.Event()

    def send() -> None:
        number = 0
        while not stop.is_set():
            name = f"m{number:07d}"
            try:
                queue.put([(name, b"x" * 100)])
            except StoreUnavailable:
                stop.wait(0.05)
                continue  # not confirmed: the same again
            confirmed.append(name)
            number += 1

    def receive() -> None:
        own = Queue.open(f"{broker.url}/r9", root=tmp_path, crashes=1000, timeout=2.0)
        while not (stop.is_set() and set(taken) >= set(confirmed)):
            with suppress(StoreUnavailable, LeaseLost):
                for message in own.take(20, wait=0.5):
                    taken.append(message.id)
                    own.acknowledge(message)
        own.close()

    threads = [threading.Thread(target=work, daemon=True) for work in (send, receive)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    # A queue that was made moments before the broker is killed elects no leader afterwards (RabbitMQ 3.10).
    threading.Event().wait(max(0.0, 5.0 - (monotonic() - broker.made)))
    for _ in range(kills):
        before = len(confirmed)
        while len(confirmed) < before + 100:
            threading.Event().wait(0.02)
        broker.kill()
        broker.start()
        up, before = monotonic(), len(confirmed)
        while len(confirmed) == before:
            assert monotonic() - up < within(30, busy=4)
            threading.Event().wait(0.02)
        slowest = max(slowest, monotonic() - up)
    stop.set()
    for thread in threads:
        thread.join(60)

    assert set(confirmed) <= set(taken)
    assert len(confirmed) == len(set(confirmed)) > 100 * kills
    queue.close()
