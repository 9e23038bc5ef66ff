"""How promises stand: measured on what is true, told while they burn, and written only when something changed."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import tiny
from sqlalchemy import event

from prometheus_server import checked
from services import free_ports
from treadle.app import gauges
from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.counts import BOUNDS, Counts
from treadle.core.errors import AuthRequired, InvalidDeclaration
from treadle.core.records import to_json
from treadle.loop.promises import Standing
from treadle.serving.entries import OutcomeEntry, PredictionEntry
from treadle.serving.frames import tables_of
from treadle.store.ledger import tables as t

#: The rows of `tiny` reach from here for a week.
BEGIN = datetime(2020, 1, 6, tzinfo=UTC)
PROMISES = """
up = td.slos.Availability(endpoint="buys", objective=0.999)
others = [
    td.slos.Latency(endpoint=buys, within=0.05, objective=0.9, name="quick"),
    td.slos.Freshness(data="visits", within="2d", objective=0.9, period="10d"),
    td.slos.Freshness(model=buys, within="20d", objective=0.9),
    td.slos.Quality(endpoint="buys", metric="log_loss", at_most=0.0001, objective=0.9, rows=5, every="1h"),
]
"""


@pytest.fixture
def promised(opened: tiny.Opener, root: Path, clock: ManualClock) -> Workspace:
    file = root / "project.py"
    text = file.read_text()
    dataset = text[text.index("td.Dataset(") :].split('"')[1]
    file.write_text(text + PROMISES.replace("visits", dataset))
    clock.set(BEGIN + timedelta(days=7))
    return opened(clock=clock, compute__engine="inline")


def serve(workspace: Workspace, answered: int, failed: int, *, ago: str = "1m", slow: int = 0) -> None:
    """Let a server have counted something, some time ago."""
    at = workspace.clock.now() - timedelta(minutes=int(ago[:-1]))
    places = [0.0] * (len(BOUNDS) + 1)
    places[3], places[-1] = answered - slow, slow
    body = to_json(Counts(answered, failed, tuple(places)))
    with workspace.ledger.write() as connection:
        values = {"endpoint": "buys", "at": t.micros(at), "span": 60, "server": "s"}
        t.put(connection, t.served_counts, **values, written=t.micros(at), body=body)


def states(workspace: Workspace) -> dict[str, str]:
    return {one.slo: one.state for one in workspace.promises.standings()}


def open_alerts(workspace: Workspace) -> list[tuple[str, str, str]]:
    return sorted((alert.rule, alert.subject, alert.severity) for alert in workspace.alerts.open())


def test_failures_burn_the_budget_until_they_are_over(promised: Workspace, clock: ManualClock) -> None:
    promised.run("buys")
    serve(promised, 1000, 0, ago="170m")
    promised.promises.tick()
    assert open_alerts(promised) == []
    for minute in range(4):
        serve(promised, 50, 50, ago=f"{minute}m", slow=50)

    promised.promises.tick()
    told = open_alerts(promised)
    (quick,) = [one for one in promised.promises.standings() if one.slo == "quick"]
    (alert, *_) = [alert for alert in promised.alerts.open() if alert.rule == "slo-fast"]
    clock.advance("10h")
    serve(promised, 1000, 0, ago="1m")
    promised.promises.tick()

    assert ("slo-fast", "slo:buys-availability", "page") in told
    assert ("slo-spent", "slo:buys-availability", "ticket") in told
    assert "buys-availability (99.9000% of 30d: requests are answered) burns its error budget" in alert.text
    assert "200 of 400 requests" in alert.text
    assert quick.good == pytest.approx(1000 / 1200)
    assert quick.burns["5m"] == pytest.approx(10)
    assert "slo-fast" not in {rule for rule, _, _ in open_alerts(promised)}


def test_one_failure_among_the_first_requests_breaks_no_promise(promised: Workspace) -> None:
    promised.run("buys")
    serve(promised, 2, 1)

    promised.promises.tick()

    assert [alert for alert in open_alerts(promised) if "availability" in alert[1]] == []
    assert states(promised)["buys-availability"] == "kept"


def test_freshness_is_measured_in_time(promised: Workspace, root: Path, clock: ManualClock) -> None:
    promised.tick()
    name = next(one.slo for one in promised.promises.standings() if one.subject.startswith("dataset:"))
    clock.advance("1d")
    promised.promises.tick()
    assert states(promised)[name] == "kept"
    clock.advance(
        "2d"
    )  # looked at late: it was broken at the moment at which the newest row became two days old
    promised.promises.tick()
    clock.advance("1d")

    (one,) = [one for one in promised.promises.standings() if one.slo == name]

    newest = promised.datasets.version(one.subject.partition(":")[2]).time_max
    assert newest is not None
    broken = clock.now() - (newest + timedelta(days=2))
    assert one.kept_now is False
    assert one.measured * (1 - one.good) == pytest.approx(broken.total_seconds())
    assert one.state == "spent"
    assert ("slo-spent", f"slo:{name}", "ticket") in open_alerts(promised)


def test_the_first_hour_of_stale_data_uses_up_no_budget_of_a_day(
    promised: Workspace, clock: ManualClock
) -> None:
    promised.run("buys")
    (name,) = [one.slo for one in promised.promises.standings() if one.subject.startswith("dataset:")]
    newest = promised.datasets.version("visits").time_max
    assert newest is not None
    clock.set(newest + timedelta(days=2, hours=1))
    promised.promises.tick()

    (one,) = [one for one in promised.promises.standings() if one.slo == name]

    assert (one.kept_now, one.good) == (False, pytest.approx(0.0, abs=1e-9))
    assert one.budget_left == pytest.approx(1 - 1 / 24)
    assert ("slo-spent", f"slo:{name}", "ticket") not in open_alerts(promised)


def test_a_tick_at_which_nothing_changed_writes_nothing(promised: Workspace, clock: ManualClock) -> None:
    promised.run("buys")
    serve(promised, 100, 0)
    promised.promises.tick()
    clock.advance("1m")
    written: list[str] = []
    event.listen(
        promised.ledger._backend.engine,
        "before_cursor_execute",
        lambda *given: (
            written.append(given[2]) if given[2].split()[0] in {"INSERT", "UPDATE", "DELETE"} else None
        ),
    )

    for _ in range(3):
        clock.advance("10s")
        promised.promises.tick()

    assert written == []


def answer(workspace: Workspace, *, n: int) -> None:
    """Let the endpoint have answered so many requests a minute ago, half of them wrongly."""
    at = int((workspace.clock.now() - timedelta(minutes=1)).timestamp() * 1e6)
    entries: list[PredictionEntry | OutcomeEntry] = []
    for place in range(n):
        given = {"request_id": f"r{at}-{place}", "endpoint": "buys", "at": at}
        told = {"model": "buys", "version": 1, "variant": "champion", "assignment": "", "subject": None}
        numbers = {"latency": 0.001, "keys": None, "predictions": [1.0], "probabilities": [0.9]}
        entries.append(PredictionEntry(**given, **told, **numbers, revision=1, inputs={"pages": [1.0]}))
        outcome = {"predictions": [f"r{at}-{place}-0"], "keys": [None], "values": [float(place % 2)]}
        entries.append(OutcomeEntry(**{**given, "request_id": f"o{at}-{place}"}, **outcome))
    for name, frame in tables_of(entries).items():
        workspace.tables.append(name, frame, base=workspace.tables.version(name))


def test_quality_is_broken_when_the_whole_interval_is(promised: Workspace, clock: ManualClock) -> None:
    def quality() -> Standing:
        promised.promises.tick()
        return next(one for one in promised.promises.standings() if one.kind == "quality")

    promised.run("buys")
    nothing = quality()
    clock.advance("1h")
    answer(promised, n=4)
    few = quality()
    answer(promised, n=40)
    too_soon = quality()
    clock.advance("1h")
    broken = quality()
    clock.advance("30m")
    later = quality()

    assert (nothing.state, nothing.rows) == ("unknown", 0)
    assert (few.rows, few.kept_now) == (4, None)
    assert too_soon.rows == 4, "it is looked at every hour"
    assert (broken.rows, broken.kept_now) == (40, False)
    assert broken.low is not None
    assert broken.high is not None
    assert 0.0001 < broken.low < 1.2 < broken.high
    assert (later.good, later.measured) == (0.0, 1800.0)


def test_an_endpoint_that_is_not_there_is_said(promised: Workspace) -> None:
    (one,) = [one for one in promised.promises.standings() if one.slo == "buys-availability"]

    assert one.state == "unknown"
    assert one.notes == ("There is no endpoint 'buys', so nothing is measured. Endpoints: none yet.",)


def test_alerts_of_promises_that_are_withdrawn_end(
    promised: Workspace, root: Path, opened: tiny.Opener, clock: ManualClock
) -> None:
    serve(promised, 50, 50)
    promised.promises.tick()
    assert open_alerts(promised)
    file = root / "project.py"
    file.write_text(file.read_text().partition("up = ")[0])

    again = opened(clock=clock, compute__engine="inline")
    again.promises.tick()

    assert open_alerts(again) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "x = td.slos.Freshness(data='vist', within='1h', objective=0.9)",
            "about a dataset 'vist' that there is not",
        ),
        ("x = [td.slos.Availability(endpoint='a', objective=o) for o in (0.9, 0.99)]", "Two SLOs are named"),
    ],
)
def test_what_contradicts_the_project_is_refused(
    opened: tiny.Opener, root: Path, clock: ManualClock, line: str, said: str
) -> None:
    file = root / "project.py"
    file.write_text(f"{file.read_text()}\n{line}\n")

    with pytest.raises(InvalidDeclaration, match=said):
        opened(clock=clock).project  # noqa: B018 - it is loaded when it is first asked for


def test_what_the_watcher_says_is_what_promtool_takes(promised: Workspace, clock: ManualClock) -> None:
    promised.run("buys")
    serve(promised, 1000, 0)
    answer(promised, n=40)
    promised.tick()
    clock.advance("1m")

    page = gauges.page(promised).decode()

    checked("metrics", text=page)
    said = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in page.splitlines()
        if line[0] != "#"
    }
    about = 'kind="availability",slo="buys-availability",subject="endpoint:buys"'
    assert said[f"treadle_slo_budget_left_ratio{{{about}}}"] == 1.0
    assert said['treadle_slo_kept{kind="quality",slo="buys-log_loss",subject="endpoint:buys"}'] == 0.0
    assert said['treadle_model_age_seconds{model="buys"}'] == pytest.approx(60, abs=2 * 86400)
    assert said["treadle_series_left_out"] == 0


def test_watching_answers_metrics_where_a_port_is_set(
    promised: Workspace, opened: tiny.Opener, clock: ManualClock
) -> None:
    (port,) = free_ports(1)
    watched = opened(clock=clock, compute__engine="inline", watch__port=port, watch__token="very-secret")
    stop = threading.Event()
    thread = threading.Thread(target=watched.watch, kwargs={"interval": 0.05, "stop": stop})
    thread.start()
    try:
        eventually(lambda: _status(port, "very-secret") == 200)
        assert _status(port, "") == 401
        assert _status(port, "wrong") == 401
    finally:
        stop.set()
        thread.join()

    with pytest.raises(AuthRequired, match="without a token"):
        opened(clock=clock, watch__port=port, watch__host="0.0.0.0").watch(stop=stop)


def _status(port: int, token: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answered:
            return int(answered.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
