"""What jobs and streams tell Prometheus, and the file that it stands in."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from types import SimpleNamespace

from treadle.core.addresses import Allowed
from treadle.core.clock import ManualClock
from treadle.core.errors import StoreUnavailable
from treadle.serving import stream_metrics
from treadle.serving.glance import parse
from treadle.serving.jobs.delivery import Deliveries
from treadle.serving.jobs.jobs import Jobs
from treadle.serving.jobs.metrics import observed
from treadle.serving.jobs.supervisor import Supervisor
from treadle.serving.jobs.upkeep import Upkeep
from treadle.serving.stream_metrics import Lag
from treadle.serving.telemetry import Family, exposed
from treadle.serving.textfile import Textfile
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.store.queue.queue import Queue


def looked(families):
    return parse(exposed(families).decode())


def test_jobs_are_counted_by_state_with_the_age_of_the_oldest(tmp_path):
    clock = ManualClock(datetime(2013, 2, 1, tzinfo=UTC))
    with Ledger.open("sqlite:///ledger.db", root=tmp_path) as ledger:
        objects = Objects.open("objects", root=tmp_path, options={})
        queue = Queue.open("queue", root=tmp_path, lease=30.0, crashes=3)
        allowed = Allowed("127.0.0.1")
        jobs = Jobs(ledger, objects, queue, clock=clock, allowed=allowed)
        upkeep = Upkeep(jobs, ledger, objects, clock=clock, retention="7d", lease=30.0)
        deliveries = Deliveries(upkeep, secret="", source="s", allowed=allowed, clock=clock)
        supervisor = Supervisor(queue, upkeep, deliveries, start=lambda: None, least=0, most=1)
        for name in ("a", "b", "c"):
            jobs.submit("delay", b"{}", name=name, hook="http://127.0.0.1:9/")
            clock.advance("10s")
        jobs.begin(queue.take(1)[0].id)
        jobs.cancel("c")
        deliveries.deliver()

        found = looked(observed(queue, upkeep, deliveries, supervisor))

        deliveries.close()
        queue.close()

    def of(name, **labels):
        return found[name, tuple(labels.items())]

    assert {s: of("treadle_jobs", state=s) for s in ("waiting", "running", "cancelled", "done")} == {
        "waiting": 1,
        "running": 1,
        "cancelled": 1,
        "done": 0,
    }
    assert of("treadle_jobs_oldest_age_seconds", state="waiting") == 20
    assert of("treadle_jobs_oldest_age_seconds", state="running") == 30
    assert of("treadle_jobs_queue_messages", state="ready") == 2
    assert of("treadle_jobs_queue_messages", state="leased") == 1
    assert (of("treadle_jobs_hooks_due"), of("treadle_jobs_hooks_failed_total")) == (1, 1)
    assert of("treadle_jobs_hooks_taken_total") == 0
    assert of("treadle_jobs_requeued_total") == of("treadle_jobs_worker_deaths_total") == 0
    assert {key for _, labels in found for key, _ in labels} == {"state"}  # never an id


def test_a_streams_lag_is_told_while_its_broker_answers():
    answers = [7, StoreUnavailable("gone"), 3, None]

    def waiting():
        said = answers.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    closed = []
    lag = Lag(lambda: SimpleNamespace(waiting=waiting, close=lambda: closed.append(1)))
    pump = SimpleNamespace(answered=5, parked=2)

    looks = [looked(stream_metrics.observed("delay", pump, lag)) for _ in range(4)]

    labels = (("endpoint", "delay"),)
    assert [look.get(("treadle_stream_waiting_messages", labels)) for look in looks] == [7, None, 3, None]
    assert [look["treadle_stream_source_reachable", labels] for look in looks] == [1, 0, 1, 1]
    assert looks[0]["treadle_stream_answered_total", labels] == 5
    assert looks[0]["treadle_stream_parked_total", labels] == 2
    assert closed == [1]  # it connects again after a failure


def test_the_file_is_whole_at_any_time_and_goes_with_its_process(tmp_path):
    path, looks = tmp_path / "node" / "jobs.prom", threading.Semaphore(0)
    count = iter(range(1, 1_000))

    def observe():
        looks.release()
        return [Family("treadle_x", "X.", "gauge", [("treadle_x", (), float(next(count)))])]

    with Textfile(path, observe, interval=0.01):
        for _ in range(3):
            assert looks.acquire(timeout=20)
        seen = parse(path.read_text())
        mode = path.stat().st_mode & 0o777

    assert seen["treadle_x", ()] >= 1
    assert mode == 0o644
    assert list(path.parent.iterdir()) == []


def test_a_store_that_is_away_leaves_the_file_as_it_was(tmp_path, caplog):
    path, failing = tmp_path / "jobs.prom", threading.Semaphore(0)
    told = [Family("treadle_x", "X.", "gauge", [("treadle_x", (), 1.0)])]

    def observe():
        if path.exists():
            failing.release()
            msg = "the ledger is away"
            raise StoreUnavailable(msg)
        return told

    with Textfile(path, observe, interval=0.01):
        for _ in range(3):
            assert failing.acquire(timeout=20)
        there = path.read_text()

    assert "treadle_x 1.0" in there
    assert caplog.text.count("the ledger is away") == 1


def test_a_file_that_cannot_be_written_is_said_once(tmp_path, caplog):
    (tmp_path / "taken").write_text("a file where the folder should be")
    looks = threading.Semaphore(0)

    def observe():
        looks.release()
        return []

    with Textfile(tmp_path / "taken" / "jobs.prom", observe, interval=0.01):
        for _ in range(4):
            assert looks.acquire(timeout=20)

    assert caplog.text.count("metrics are not written") == 1


def test_whatever_fails_the_writer_goes_on_and_counts_it(tmp_path, caplog):
    path, looks, count = tmp_path / "jobs.prom", threading.Semaphore(0), iter(range(1_000))

    def observe():
        looks.release()
        if next(count) < 3:
            raise ZeroDivisionError("the moon is wrong")
        return []

    with Textfile(path, observe, interval=0.01):
        for _ in range(6):
            assert looks.acquire(timeout=20)
        told = parse(path.read_text())

    assert told["treadle_textfile_failures_total", ()] == 3
    assert caplog.text.count("the moon is wrong") == 1
