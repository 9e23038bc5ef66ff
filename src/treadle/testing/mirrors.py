"""What every mirror must do, tried against a real tracker, and against servers that fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import pytest

from treadle.core.clock import monotonic
from treadle.core.errors import MirrorRefused, MirrorUnavailable, NotFound
from treadle.core.ids import new_id
from treadle.core.records import ModelVersion, Window
from treadle.core.signature import Field, Signature
from treadle.registry.mirror import Mirror, MirroredRun, MirroredVersion, Point

#: Something that nobody may ever read in a message.
SECRET = "opensesame-4711"  # noqa: S105 - it opens nothing
_AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


@dataclass(frozen=True)
class Shown:
    """One run as the tracker shows it."""

    remote: str
    name: str
    #: `running`, `finished`, `failed` or `killed`.
    status: str
    started_at: datetime
    finished_at: datetime | None
    params: Mapping[str, str]
    #: The value that the tracker shows for each metric, and all of them by step; NaN: None.
    latest: Mapping[str, float | None]
    metrics: Mapping[str, list[tuple[int, float | None]]]
    tags: Mapping[str, str]
    files: Mapping[str, bytes]
    #: The tracker's own name of the run that it is a trial of.
    parent: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


class Tracker(Protocol):
    """A real tracker, looked at beside the mirror."""

    def mirror(self) -> Mirror:
        """Return a new mirror at it."""
        ...

    def mirror_at(self, address: str, *, timeout: float) -> Mirror:
        """Return a mirror at an HTTP server that holds `SECRET` as its token and gives up after so many seconds."""
        ...

    def runs(self, model: str) -> list[Shown]:
        """Return what it shows of a model's runs, without those taken away, in order of their start."""
        ...

    def versions(self, model: str) -> dict[str, str]:
        """Return the numbers of a model's versions there, and the remote name of the run of each."""
        ...

    def aliases(self, model: str) -> dict[str, str]:
        """Return the aliases of a model there, and the number that each points at."""
        ...


def check_a_run_is_shown_once_as_it_was_told(tracker: Tracker) -> None:
    """Whatever is told twice is shown once: moments, status, tags, parameters, metrics by step, files."""
    run = a_run()
    told = [Point(name="loss", value=v, step=s, at=_AT) for s, v in enumerate([0.5, 0.25, None])]

    for _ in range(2):
        mirror = tracker.mirror()
        remote = mirror.begin(run)
        mirror.attach(remote, {"log.txt": b"line\n", "deep/er/page.html": b"<p>"})
        mirror.tell(remote, run, points=told)

    (shown,) = tracker.runs(run.model)
    assert (shown.remote, shown.name, shown.status) == (remote, run.name, "finished")
    assert (shown.started_at, shown.finished_at) == (run.started_at, run.finished_at)
    assert shown.params == {"depth": "3", "kind": "tree"}
    assert shown.metrics["loss"] == [(0, 0.5), (1, 0.25), (2, None), (2, 0.125)]
    assert (shown.latest["loss"], shown.latest["test.auc"]) == (0.125, 0.75)
    assert shown.tags["treadle.reason"] == "by hand – „quoted“"
    assert shown.files == {"log.txt": b"line\n", "deep/er/page.html": b"<p>"}
    assert shown.data == {"visits": "version 3"}


def check_a_run_under_way_goes_on(tracker: Tracker) -> None:
    """A run that is told while it runs is the same one when it has ended."""
    begun = a_run(status="running", finished_at=None, params={}, metrics={})
    mirror = tracker.mirror()
    remote = mirror.begin(begun)
    mirror.tell(remote, begun, points=[Point(name="loss", value=1.0, step=0, at=_AT)])
    running = tracker.runs(begun.model)[0]
    ended = a_run(id=begun.id, model=begun.model, status="failed")

    mirror.tell(remote, ended, points=[Point(name="loss", value=2.0, step=1, at=_AT)])

    (shown,) = tracker.runs(begun.model)
    assert (running.status, running.finished_at, shown.status) == ("running", None, "failed")
    assert shown.metrics["loss"][:2] == [(0, 1.0), (1, 2.0)]


def check_a_trial_stands_under_its_run(tracker: Tracker) -> None:
    """A trial names the run that it is of, and is no twin of it."""
    run, mirror = a_run(), tracker.mirror()
    parent = mirror.begin(run)
    trial = a_run(id=f"{run.id}/0", model=run.model, parent=parent, status="killed")

    child = mirror.begin(trial)
    mirror.tell(child, trial, points=[])

    shown = {one.remote: one for one in tracker.runs(run.model)}
    assert (shown[child].parent, shown[child].status, shown[parent].parent) == (parent, "killed", "")


def check_odd_names_and_values_are_taken(tracker: Tracker) -> None:
    """Names and values that the tracker would not take, or would mix up, are sent in a form that it takes."""
    names = ["a b", "loss %", "loss ?", "../up", "x//y", "a/", "", "ü", "n" * 400, "test.baseline:prior.auc"]
    run = a_run(
        params={f"p{name}": "v" * 20_000 for name in names},
        metrics=dict.fromkeys(names, 1.0),
        tags={f"t{name}": "w" * 20_000 for name in names},
        note="n" * 20_000,
    )
    mirror = tracker.mirror()

    mirror.tell(mirror.begin(run), run, points=[])

    (shown,) = tracker.runs(run.model)
    assert len(shown.latest) == len(names)
    assert len(shown.params) == len(names)
    assert sum(name.startswith("t") and name[:7] != "treadle" for name in shown.tags) == len(names)


def check_thousands_of_points_are_sent(tracker: Tracker) -> None:
    """More points and parameters than one request takes are sent in several."""
    run = a_run(params={f"p{i}": str(i) for i in range(250)})
    mirror = tracker.mirror()

    mirror.tell(
        mirror.begin(run), run, points=[Point(name="m", value=i / 7, step=i, at=_AT) for i in range(2_500)]
    )

    (shown,) = tracker.runs(run.model)
    assert [step for step, _ in shown.metrics["m"]] == list(range(2_500))
    assert shown.params == {f"p{i}": str(i) for i in range(250)}


def check_of_twins_one_stays(tracker: Tracker) -> None:
    """Where two processes made the same run at once, the one that is known stays."""
    run = a_run()
    with ThreadPoolExecutor(6) as several:
        made = set(several.map(lambda _: tracker.mirror().begin(run), range(6)))

    kept = tracker.mirror().begin(run, known=max(made))

    assert kept in made
    assert [one.remote for one in tracker.runs(run.model)] == [kept]


def check_a_version_is_registered_once_with_its_files(tracker: Tracker) -> None:
    """Registering again changes nothing; what is fetched is what was registered, by number and by alias."""
    told, mirror = _begun_version(tracker)
    files = {"model.onnx": bytes(range(256)), "manifest.json": b"{}"}

    numbers = {mirror.register(told, files), tracker.mirror().register(told, files)}
    (number,) = numbers
    mirror.point(told.version.model, "champion", number)

    assert tracker.versions(told.version.model) == {number: told.run}
    for reference in (f"models:/{told.version.model}/{number}", f"models:/{told.version.model}@champion"):
        fetched = mirror.fetch(reference)
        assert {name: fetched.files[name] for name in files} == files
        assert (fetched.version, fetched.run) == (number, told.run)
        assert (fetched.flavour, fetched.data, fetched.runs_code) == ("onnx", "model.onnx", False)
        assert fetched.tags["treadle.digest"] == told.version.digest


def check_a_version_without_files_is_shown(tracker: Tracker) -> None:
    """A version whose package was collected before it could be sent keeps its place, and says so."""
    told, mirror = _begun_version(tracker)

    number = mirror.register(told, {})
    mirror.retire(told, number)

    assert tracker.versions(told.version.model) == {number: told.run}


def check_a_model_of_another_project_is_left_alone(tracker: Tracker) -> None:
    """Two projects whose models are of one name do not write into each other's versions."""
    told, mirror = _begun_version(tracker)
    mirror.register(told, {"model.onnx": b"x"})
    other, _ = _begun_version(tracker, model=told.version.model, project="other")

    with pytest.raises(MirrorRefused, match="other"):
        mirror.register(other, {"model.onnx": b"y"})

    assert len(tracker.versions(told.version.model)) == 1


def check_a_number_alone_makes_no_version_the_same(tracker: Tracker) -> None:
    """Two ledgers of one project's name, which both have a first version of a model, have two versions there."""
    told, mirror = _begun_version(tracker)
    other, _ = _begun_version(tracker, model=told.version.model)

    numbers = [mirror.register(one, {"model.onnx": b"x"}) for one in (told, other, told)]

    assert numbers[0] == numbers[2]
    assert tracker.versions(told.version.model) == {numbers[0]: told.run, numbers[1]: other.run}


def check_aliases_move_and_go(tracker: Tracker) -> None:
    """An alias points where it was told last; one that was taken away is gone, also when that is told twice."""
    told, mirror = _begun_version(tracker)
    name = told.version.model
    first = mirror.register(told, {"model.onnx": b"x"})
    second = mirror.register(_begun_version(tracker, model=name, number=2)[0], {"model.onnx": b"y"})

    for number in (first, second, second):
        mirror.point(name, "champion", number)
    mirror.point(name, "previous", first)
    for _ in range(2):
        mirror.point(name, "challenger", None)

    assert tracker.aliases(name) == {"champion": second, "previous": first}


def check_what_is_not_there_is_not_found(tracker: Tracker) -> None:
    """An unknown model, version or alias is `NotFound`, and text that names none is refused."""
    told, mirror = _begun_version(tracker)
    name = told.version.model
    mirror.register(told, {"model.onnx": b"x"})

    for reference in ("models:/nobody@champion", f"models:/{name}@nobody", f"models:/{name}/99"):
        with pytest.raises(NotFound):
            mirror.fetch(reference)
    with pytest.raises(MirrorRefused):
        mirror.point(name, "champion", "99")


def check_it_says_who_answers(tracker: Tracker) -> None:
    """`check` names the tracker's address, and the address holds no secret."""
    mirror = tracker.mirror()

    assert mirror.place in mirror.check()
    assert SECRET not in tracker.mirror_at("http://localhost:1", timeout=1).place


def check_a_failing_server_costs_little_and_shows_nothing(tracker: Tracker) -> None:
    """Errors, silence, half an answer and foreign answers are `MirrorUnavailable`, soon, and no message holds the token."""
    for fault in FAULTS:
        with failing_server(fault) as address:
            mirror = tracker.mirror_at(address, timeout=0.3)
            began = monotonic()
            for work in (
                mirror.check,
                partial(mirror.begin, a_run()),
                partial(mirror.attach, "x", {"a": b"b"}),
            ):
                _must_be_away(work, address)

        assert monotonic() - began < 5, fault


def _must_be_away(work: Callable[[], object], address: str) -> None:
    with pytest.raises(MirrorUnavailable) as caught:
        work()
    assert SECRET not in str(caught.value)
    assert address in str(caught.value)


def a_run(**changes: object) -> MirroredRun:
    """Return a run to tell of, of a model that no other test has."""
    unique = new_id()
    held: dict[str, object] = {
        "id": f"run_{unique}",
        "project": "suite",
        "model": f"model_{unique}",
        "name": f"run_{unique}",
        "status": "finished",
        "started_at": _AT,
        "finished_at": _AT.replace(hour=13),
        "params": {"depth": "3", "kind": "tree"},
        "metrics": {"loss": 0.125, "test.auc": 0.75},
        "tags": {"treadle.reason": "by hand – „quoted“"},
        "note": "Why it was made.",
        "commit": "0" * 40,
        "data": {"visits": 3},
    }
    return MirroredRun(**{**held, **changes})  # type: ignore[arg-type]


def _begun_version(
    tracker: Tracker, *, model: str = "", number: int = 1, project: str = "suite"
) -> tuple[MirroredVersion, Mirror]:
    run, mirror = a_run(**({"model": model} if model else {})), tracker.mirror()
    version = ModelVersion(
        model=run.model,
        version=number,
        created_at=_AT,
        task="regression",
        format="onnx",
        digest="sha256:" + f"{number}" * 64,
        size=3,
        signature=Signature(inputs=(Field(name="x", kind="float"),)),
        run=run.id,
        dataset="visits",
        dataset_version=3,
        window=Window(start=None, end=_AT),
    )
    told = MirroredVersion(
        project=project, version=version, run=mirror.begin(run), tags={"treadle.digest": version.digest}
    )
    return told, mirror


#: What a failing server does: an answer's status, or a way to break off.
FAULTS = ("500", "503", "401", "403", "302", "silence", "drip", "half", "garbage", "closed")


@contextmanager
def failing_server(fault: str) -> Iterator[str]:
    """Run an HTTP server on loopback that fails in one way, for the length of a block; yield its address."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.close_connection = True
            _fail(self, fault, ended)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names are http.server's

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    if fault == "closed":
        server.server_close()
    try:
        yield address
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _fail(handler: BaseHTTPRequestHandler, fault: str, ended: threading.Event) -> None:
    if fault.isdigit():
        handler.send_response(int(fault))
        if fault == "302":
            handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
    elif fault == "silence":
        ended.wait(30)
    else:
        body = b"<html>who are you?</html>" if fault == "garbage" else b'{"runs": [{"info": {"run_id":'
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) + (0 if fault == "garbage" else 1000)))
        handler.end_headers()
        handler.wfile.write(body)
        with suppress(OSError):  # whoever asked has gone
            while fault == "drip" and not ended.wait(0.05):
                handler.wfile.write(b" ")


#: All checks; each takes the tracker.
CHECKS: tuple[Callable[[Tracker], None], ...] = (
    check_a_run_is_shown_once_as_it_was_told,
    check_a_run_under_way_goes_on,
    check_a_trial_stands_under_its_run,
    check_odd_names_and_values_are_taken,
    check_thousands_of_points_are_sent,
    check_of_twins_one_stays,
    check_a_version_is_registered_once_with_its_files,
    check_a_version_without_files_is_shown,
    check_a_model_of_another_project_is_left_alone,
    check_a_number_alone_makes_no_version_the_same,
    check_aliases_move_and_go,
    check_what_is_not_there_is_not_found,
    check_it_says_who_answers,
    check_a_failing_server_costs_little_and_shows_nothing,
)
