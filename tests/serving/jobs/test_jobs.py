from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hook_receiver import Receiver
from treadle.core import hooks
from treadle.core.addresses import Allowed
from treadle.core.clock import ManualClock
from treadle.core.errors import AlreadyExists, Busy, Conflict, InvalidInput, NotFound, StoreUnavailable
from treadle.serving.jobs.delivery import Deliveries
from treadle.serving.jobs.jobs import Jobs
from treadle.serving.jobs.results import Result, pack
from treadle.serving.jobs.scratch import Scratch
from treadle.serving.jobs.supervisor import Supervisor
from treadle.serving.jobs.upkeep import Upkeep
from treadle.serving.jobs.worker import Worker
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.store.queue.queue import Queue

BODY = b'{"rows": [{"x": 1}]}'
RESULT = pack(Result(rows=1, answer=b"{}", predictions=[]))


class World:
    """Jobs over real stores, and a clock that stands still."""

    def __init__(self, root: Path) -> None:
        self.clock = ManualClock(datetime(2013, 2, 1, tzinfo=UTC))
        self.ledger = Ledger.open("sqlite:///ledger.db", root=root)
        self.objects = Objects.open("objects", root=root, options={})
        self.queue = Queue.open("queue", root=root, lease=0.0, crashes=3)
        self.allowed = Allowed("127.0.0.1")
        self.jobs = Jobs(self.ledger, self.objects, self.queue, clock=self.clock, allowed=self.allowed)
        self.upkeep = Upkeep(
            self.jobs, self.ledger, self.objects, clock=self.clock, retention="7d", lease=30.0
        )
        self.deliveries = Deliveries(
            self.upkeep, secret="s", source="treadle/shop", allowed=self.allowed, clock=self.clock
        )

    def close(self) -> None:
        self.deliveries.close()
        self.queue.close()
        self.ledger.close()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def test_a_job_is_accepted_begun_and_done_with_one_result(world):
    job, is_new = world.jobs.submit("delay", BODY)
    (message,) = world.queue.take(1)
    begun = world.jobs.begin(message.id)

    assert is_new
    assert (message.id, begun.state, world.jobs.input(begun)) == (job.id, "running", BODY)
    with pytest.raises(Conflict, match="is running, so it has no result; ask again later"):
        world.jobs.result(job.id)
    assert world.jobs.finish(job.id, RESULT, rows=1)
    assert not world.jobs.finish(job.id, b"another", rows=1)
    assert not world.jobs.fail(job.id, "too late")
    assert world.jobs.begin(job.id) is None
    assert world.jobs.result(job.id) == RESULT
    assert len(list(world.objects.list())) == 2  # the input and the one result


def test_a_job_that_is_sent_again_is_the_same_job(world):
    first = world.jobs.submit("delay", BODY, name="mine")
    again = world.jobs.submit("delay", BODY, name="mine")

    assert (first[0].id, first[1], again[0].id, again[1]) == ("mine", True, "mine", False)
    assert world.queue.state().ready == 1
    for other in (("fares", BODY), ("delay", b"{}")):
        with pytest.raises(AlreadyExists, match="Choose another id"):
            world.jobs.submit(*other, name="mine")
    assert world.jobs.input(world.jobs.get("mine")) == BODY


def test_a_job_that_the_queue_refuses_is_not_accepted(world, monkeypatch):
    def gone(items):
        raise StoreUnavailable("the broker is away")

    with monkeypatch.context() as patch:
        patch.setattr(world.queue, "put", gone)
        with pytest.raises(StoreUnavailable):
            world.jobs.submit("delay", BODY, name="mine")

    with pytest.raises(NotFound):
        world.jobs.get("mine")
    assert world.jobs.submit("delay", BODY, name="mine")[1]


@pytest.mark.parametrize("name", ["é" * 150, "a\nb", "\ud800"])
def test_a_job_that_the_queue_could_not_name_is_not_kept(world, name):
    with pytest.raises(InvalidInput, match="printable characters"):
        world.jobs.submit("delay", BODY, name=name)

    assert world.jobs.recent() == []


def test_a_job_that_is_tried_again_has_nobody_to_tell_until_it_has_ended_again(world):
    with Receiver() as receiver:
        job, _ = world.jobs.submit("delay", BODY, hook=receiver.url)
        world.jobs.begin(job.id)
        world.jobs.fail(job.id, "too early")
        world.jobs.retry(job.id)

        assert world.deliveries.deliver() == 0
        world.jobs.begin(job.id)
        world.jobs.finish(job.id, RESULT, rows=1)
        assert world.deliveries.deliver() == 1
    assert receiver.taken == [f"{job.id}.done"]


def test_a_chore_that_fails_is_tried_again(world, caplog):
    again = threading.Event()

    class Deliveries:
        calls = 0

        def deliver(self):
            self.calls += 1
            if self.calls == 1:
                raise ValueError("nobody thought of this")
            again.set()
            return 0

        def close(self):
            pass

    def no_worker():
        raise AssertionError

    supervisor = Supervisor(world.queue, world.upkeep, Deliveries(), start=no_worker, least=0, most=1)
    thread = threading.Thread(target=supervisor.run)
    thread.start()

    was_tried = again.wait(10)
    supervisor.stop()
    thread.join(10)
    assert was_tried
    assert "nobody thought of this" in caplog.text


def test_a_hook_that_cannot_be_called_at_all_holds_up_no_other(world, monkeypatch):
    post = hooks.post

    def broken(url, *given, **options):
        if "broken" in url:
            raise ValueError("server_hostname cannot start with a leading dot")
        return post(url, *given, **options)

    monkeypatch.setattr(hooks, "post", broken)
    with Receiver() as receiver:
        names = []
        for url in (f"{receiver.url}&broken=1", receiver.url):
            job, _ = world.jobs.submit("delay", BODY, hook=url)
            world.jobs.finish(job.id, RESULT, rows=1)
            names.append(job.id)

        assert world.deliveries.deliver() == 1
        assert receiver.taken == [f"{names[1]}.done"]
    assert "ValueError" in world.jobs.get(names[0]).hook.error


def test_a_job_that_another_worker_still_does_is_waited_for(world):
    job, _ = world.jobs.submit("delay", b'{"from": {"files": "a"}}')
    tries = []

    def score(endpoint, reference, name):
        tries.append(name)
        if len(tries) == 1:
            raise Busy("Another process writes a batch there.")
        return Result(rows=1, answer=b"{}", parts=[])

    worker = Worker(
        world.jobs, None, log=None, follower=None, score=score, lease=30.0, memory=1 << 40
    )  # fmt: skip
    worker.run(until_empty=True)

    assert (world.jobs.get(job.id).state, len(tries)) == ("done", 2)
    assert world.queue.state() == (0, 0, 0)


def test_a_cancelled_job_has_no_result(world):
    job, _ = world.jobs.submit("delay", BODY)
    world.jobs.begin(job.id)

    assert world.jobs.cancel(job.id).state == "cancelled"
    assert world.jobs.cancel(job.id).state == "cancelled"
    assert not world.jobs.finish(job.id, RESULT, rows=1)
    done, _ = world.jobs.submit("delay", BODY)
    world.jobs.finish(done.id, RESULT, rows=1)
    with pytest.raises(Conflict, match="is done already"):
        world.jobs.cancel(done.id)


def test_jobs_are_listed_by_pages_the_newest_first(world):
    names = []
    for number in range(5):
        names.append(world.jobs.submit("delay" if number % 2 else "fares", BODY)[0].id)
        world.clock.advance("1s")

    first = world.jobs.recent(limit=2)
    second = world.jobs.recent(limit=10, before=first[-1].id)

    assert [job.id for job in [*first, *second]] == names[::-1]
    assert [job.id for job in world.jobs.recent(endpoint="delay")] == [names[3], names[1]]
    assert world.jobs.recent(state="done") == []


def test_a_job_that_kills_its_workers_is_parked_and_may_be_tried_again(world):
    job, _ = world.jobs.submit("delay", BODY)
    for _ in range(3):
        (message,) = world.queue.take(1)
        world.jobs.begin(message.id)

    world.upkeep.reconcile()

    parked = world.jobs.get(job.id)
    assert parked.state == "parked"
    assert "3 times" in parked.error
    assert world.jobs.retry(job.id).state == "waiting"
    assert world.jobs.begin(world.queue.take(1)[0].id).tries == 4
    with pytest.raises(Conflict, match="is running"):
        world.jobs.retry(job.id)


def test_a_job_is_noted_as_parked_however_many_were_before(world, monkeypatch):
    monkeypatch.setattr("treadle.serving.jobs.upkeep._AT_ONCE", 2)
    names = [world.jobs.submit("delay", BODY, name=f"job-{number}")[0].id for number in range(5)]
    for message in world.queue.take(5):
        world.queue.park(message, "poison")

    assert world.upkeep.reconcile() == 5
    assert {job.id for job in world.jobs.recent(state="parked")} == set(names)
    assert world.upkeep.reconcile() == 0


def test_jobs_that_the_queue_lacks_are_put_into_it_again(world, tmp_path):
    job, _ = world.jobs.submit("delay", BODY)
    world.queue.close()
    for file in (tmp_path / "queue").iterdir():
        file.unlink()

    assert world.upkeep.reconcile() == 0  # it may be on its way
    world.clock.advance("2m")
    assert world.upkeep.reconcile() == 1

    assert [message.id for message in world.queue.take(5)] == [job.id]


def test_a_running_job_whose_message_was_lost_is_put_into_the_queue_again(world, tmp_path):
    job, _ = world.jobs.submit("delay", BODY)
    world.jobs.begin(world.queue.take(1)[0].id)
    world.queue.close()
    for file in (tmp_path / "queue").iterdir():
        file.unlink()
    other, _ = world.jobs.submit("delay", BODY, name="behind")  # the queue is not empty

    world.clock.advance("80s")
    world.jobs.is_alive(job.id)
    world.clock.advance("80s")
    assert world.upkeep.reconcile() == 0  # its worker was heard of
    world.clock.advance("20s")
    assert world.upkeep.reconcile() == 1
    assert world.upkeep.reconcile() == 0  # it is in the queue now

    assert {message.id for message in world.queue.take(5)} == {other.id, job.id}
    assert world.jobs.begin(job.id).tries == 2


def test_a_worker_says_that_it_is_alive_also_when_its_message_is_gone(world):
    job, _ = world.jobs.submit("delay", b'{"from": {"files": "a"}}')
    heard = []

    def score(endpoint, reference, name):
        while not (
            taken := world.queue._backend._take(1)
        ):  # its lease is over: somebody else has the message
            threading.Event().wait(0.001)
        world.queue.acknowledge(taken[0])
        world.clock.advance("10s")
        while world.jobs.get(name).alive_at is None:
            threading.Event().wait(0.01)
        heard.append(world.jobs.get(name).alive_at)
        return Result(rows=1, answer=b"{}", parts=[])

    Worker(world.jobs, None, log=None, follower=None, score=score, lease=0.03, memory=1 << 40).run(
        until_empty=True
    )

    done = world.jobs.get(job.id)
    assert (heard, done.state) == ([done.finished_at], "done")


def test_what_was_stored_for_a_job_that_was_cancelled_or_failed_goes(world):
    for name, end in (("a", world.jobs.cancel), ("b", lambda name: world.jobs.fail(name, "no"))):
        world.jobs.submit("delay", BODY, name=name)
        world.jobs.begin(name)
        world.jobs.keep_part(name, b"some rows")
        world.jobs.keep_part(name, b"more rows")

        end(name)

        with pytest.raises(Conflict, match="so nothing more is stored for it"):
            world.jobs.keep_part(name, b"the rest")
    assert len(list(world.objects.list())) == 2  # the two inputs


def test_what_tries_that_came_to_nothing_have_stored_goes_with_the_job(world):
    world.jobs.submit("delay", BODY, name="mine")
    world.jobs.begin("mine")
    world.jobs.keep_part("mine", b"of another revision")
    part = world.jobs.keep_part("mine", b"rows")
    world.jobs.finish("mine", pack(Result(rows=1, answer=b"{}", parts=[part])), rows=1)
    assert world.objects.exists(part)
    world.clock.advance("8d")

    assert world.upkeep.sweep() == 1

    assert list(world.objects.list()) == []


def test_a_folder_whose_job_has_ended_is_removed_and_that_of_an_open_one_stays(world, tmp_path):
    scratch = Scratch(tmp_path / "scratch")
    upkeep = Upkeep(
        world.jobs, world.ledger, world.objects, clock=world.clock, retention="7d", lease=1.0, scratch=scratch
    )
    for name in ("open", "done"):
        world.jobs.submit("delay", BODY, name=name)
        scratch.of(name).mkdir(parents=True)
        (scratch.of(name) / "part").write_bytes(b"rows")
    world.jobs.finish("done", RESULT, rows=1)

    upkeep.sweep()

    assert [folder.name for folder in (tmp_path / "scratch").iterdir()] == [scratch.of("open").name]


def test_what_ended_long_ago_is_removed(world):
    for name in ("done", "open"):
        world.jobs.submit("delay", BODY, name=name)
    part = world.jobs.keep_part("done", b"rows")
    world.jobs.finish("done", pack(Result(rows=1, answer=b"{}", parts=[part])), rows=1)
    world.clock.advance("8d")

    assert world.upkeep.sweep() == 1

    assert [job.id for job in world.jobs.recent()] == ["open"]
    assert len(list(world.objects.list())) == 1


def test_a_web_hook_is_signed_and_called_until_it_is_taken(world):
    with Receiver(500, 404, 302, location="http://127.0.0.1:1/") as receiver:
        job, _ = world.jobs.submit("delay", BODY, hook=receiver.url)
        world.jobs.finish(job.id, RESULT, rows=1)
        taken = []
        for pause in ("0s", "1s", "2s", "4s", "9s"):
            world.clock.advance(pause)
            taken.append(world.deliveries.deliver())

    assert taken == [0, 0, 0, 1, 0]
    assert receiver.taken == [f"{job.id}.done"]
    headers, body = receiver.requests[-1]
    assert hooks.verify(body, headers["Treadle-Signature"], secret="s", now=world.clock.now(), tolerance=60)
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    event = json.loads(body)
    assert (event["type"], event["subject"], event["id"]) == (
        "treadle.job.done",
        job.id,
        headers["Treadle-Delivery"],
    )
    assert event["data"]["result"] == f"/v1/endpoints/delay/jobs/{job.id}/result"
    hook = world.jobs.get(job.id).hook
    assert (hook.tries, hook.error, hook.delivered_at is not None) == (4, "", True)


def test_what_went_wrong_with_a_hook_is_kept(world):
    with Receiver() as receiver:
        url = receiver.url
    job, _ = world.jobs.submit("delay", BODY, hook=url)
    world.jobs.fail(job.id, "no")

    world.deliveries.deliver()

    assert "cannot be reached" in world.jobs.get(job.id).hook.error


def test_several_that_deliver_call_each_hook_once(world, tmp_path):
    with Receiver() as receiver:
        for _ in range(40):
            job, _ = world.jobs.submit("delay", BODY, hook=receiver.url)
            world.jobs.finish(job.id, RESULT, rows=1)
        threads = [threading.Thread(target=world.deliveries.deliver) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(receiver.taken) == len(set(receiver.taken)) == 40


@pytest.mark.parametrize(
    "url",
    [
        *("http://169.254.169.254/latest", "http://[::1]/", "http://10.0.0.1/", "http://2130706434/"),
        *("ftp://example.org/", "http://user:pw@example.org/", "file:///etc/passwd", "http://", "x"),
    ],
)
def test_a_hook_that_is_not_for_strangers_is_refused_at_once(tmp_path, url, world):
    with pytest.raises(InvalidInput):
        world.jobs.submit("delay", BODY, hook=url)
    assert world.jobs.recent() == []


def test_a_name_that_leads_elsewhere_later_is_not_followed(world, monkeypatch):
    """The resolver says a public address when the job is accepted, and loopback when its hook is called."""
    with Receiver() as receiver:
        port = receiver.url.split(":")[2].split("/")[0]
        answers = ["93.184.215.14", "127.0.0.1"]
        monkeypatch.setattr("socket.getaddrinfo", lambda host, p, **_: [(2, 1, 6, "", (answers.pop(0), p))])
        strict = Allowed()
        jobs = Jobs(world.ledger, world.objects, world.queue, clock=world.clock, allowed=strict)
        job, _ = jobs.submit("delay", BODY, hook=f"http://rebinding.example:{port}/")
        jobs.finish(job.id, RESULT, rows=1)
        deliveries = Deliveries(world.upkeep, secret="", source="x", allowed=strict, clock=world.clock)

        deliveries.deliver()
        deliveries.close()

    assert receiver.requests == []
    assert "not public" in jobs.get(job.id).hook.error
