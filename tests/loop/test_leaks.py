"""No decision of a replay uses what came later: every row, outcome and version that is read for a moment had come before it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import treadle as td
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.loop import contest, refitting, replay
from treadle.loop.choosing import GridReplay
from treadle.loop.courses import Course
from treadle.loop.grid import Grid
from treadle.loop.hindsight import Hindsight
from treadle.store.ledger.tables import micros

pytestmark = pytest.mark.slow
BEGIN, DAYS, A_DAY = datetime(2024, 3, 1, tzinfo=UTC), 30, 60
MIDDLE = BEGIN + timedelta(days=20)
PROJECT = """
import treadle as td

loans = td.Dataset(
    "loans",
    source=td.Files("loans/*.parquet"),
    key="id",
    time="at",
    outcomes=td.Outcomes(source=td.Files("outcomes/*.parquet"), columns=["paid"], arrived="told_at"),
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)
rates = td.FeatureView(
    "rates", source=td.Files("rates/*.parquet"), entity="bank", time="of", arrived="published", ttl="5d", fields=["rate"]
)


@td.model(
    data=loans,
    features=[rates],
    target="paid",
    inputs=["x", "rate"],
    task=td.Classification(),
    baselines=[td.baselines.Prior()],
    gates=[td.gates.Beats("baseline", min_rows=30)],
    policy=td.Policy(triggers=[td.NewRows(200)]),
)
def pays(data, params, run):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), LogisticRegression()).fit(data.train.X, data.train.y)
"""
GRID = Grid(
    triggers={
        "rows": [td.NewRows(200)],
        "decay": [td.NewRows(700), td.Decay(over="10d", min_rows=100)],
        "outcomes": [td.NewOutcomes(300)],
    },
    windows={
        "all": td.Expanding(),
        "10d": td.Last("10d"),
        "half": td.Decayed("10d"),
    },
    gates={
        "declared": [
            td.gates.Beats("baseline", min_rows=30),
            td.gates.NoWorse("champion", margin=0.05, min_rows=30),
        ],
        "none": (),
    },
)


def loans(*, poisoned: bool) -> dict[str, pl.DataFrame]:
    """Loans, what became of them up to ten days later, and rates that are published a day late; poisoned: all after `MIDDLE`."""
    chance, count = np.random.default_rng(3), DAYS * A_DAY
    at = [BEGIN + timedelta(minutes=24 * place) for place in range(count)]
    told = [
        moment + timedelta(hours=float(hours))
        for moment, hours in zip(at, chance.exponential(60, count), strict=True)
    ]
    x, day = chance.normal(size=count), np.arange(count) // A_DAY
    rate = chance.normal(size=DAYS)
    turned = np.where(day >= 12, -1.0, 1.0)  # decay has something to see
    paid = chance.random(count) < 1 / (1 + np.exp(-(2 * turned * x + rate[day])))
    late = np.array([moment >= MIDDLE for moment in at])
    untold = np.array([moment >= MIDDLE for moment in told])
    if poisoned:
        x = np.where(late, 1e6 - x, x)
        paid = np.where(untold, ~paid, paid)
    days = [BEGIN + timedelta(days=place) for place in range(DAYS)]
    published = [moment + timedelta(days=1) for moment in days]
    if poisoned:
        rate = np.where([moment >= MIDDLE for moment in published], rate * -1e3, rate)
    ids = [f"L{place}" for place in range(count)]
    return {
        "loans": pl.DataFrame({"id": ids, "at": at, "bank": "one", "x": x}),
        "outcomes": pl.DataFrame({"id": ids, "told_at": told, "paid": paid}),
        "rates": pl.DataFrame({"bank": "one", "of": days, "published": published, "rate": rate}),
    }


def made(root: Path, *, poisoned: bool = False) -> Workspace:
    """A project whose rows landed day by day, by the clock."""
    root.mkdir()
    (root / "treadle.toml").write_text('[project]\nname = "loans"\n')
    (root / "project.py").write_text(PROJECT)
    clock, tables = ManualClock(BEGIN), loans(poisoned=poisoned)
    workspace = open_workspace(root, clock=clock, overrides={"compute.engine": "inline", "replay.cache": 0})
    for number in range(6):
        begin, end = BEGIN + timedelta(days=5 * number), BEGIN + timedelta(days=5 * number + 5)
        for name, column in (("loans", "at"), ("outcomes", "told_at"), ("rates", "published")):
            (root / name).mkdir(exist_ok=True)
            part = tables[name].filter(pl.col(column).is_between(begin, end, closed="left"))
            if part.height:
                part.write_parquet(root / name / f"{number}.parquet")
        clock.set(end)
        workspace.ingest()
    return workspace


class Witness:
    """Writes down what is read for which moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now: datetime | None = None
        self.seen: dict[str, int] = {"decided": 0, "trained": 0, "judged": 0, "performed": 0}
        self.late: list[str] = []
        self._truth = {
            row["id"]: row
            for row in loans(poisoned=False)["loans"]
            .join(loans(poisoned=False)["outcomes"], on="id")
            .to_dicts()
        }
        decide, refit, compared = Course.decide, refitting.learnt, replay.compared
        performed = contest.performed
        judge = replay.judge

        def deciding(course: Course, moment: datetime, known: Any, live: Any = None) -> Any:
            self.seen["decided"] += 1
            there = sum(row["at"] < moment and row["told_at"] < moment for row in self._truth.values())
            if known.rows > there or (known.until is not None and known.until > moment):
                self.late.append(f"{moment}: {known} counted, {there} were there")
            return decide(course, moment, known, live)

        def learning(model: Any, rows: pl.DataFrame, window: Any) -> Any:
            self._look("trained", rows)
            return refit(model, rows, window)

        def judging(history: Any, rooms: Any, fit: Any, champion: Any, gates: Sequence[Any]) -> Any:
            self.now = fit.at
            return judge(history, rooms, fit, champion, gates)

        def comparing(model: Any, rows: pl.DataFrame, *args: Any, **more: Any) -> Any:
            self._look("judged", rows)
            return compared(model, rows, *args, **more)

        def performing(losses: np.ndarray, **more: Any) -> Any:
            self.seen["performed"] += 1
            return performed(losses, **more)

        made = refitting.refit

        def refitted(model: Any, past: Any, wanted: Any, **more: Any) -> Any:
            self.now = wanted.moment
            return made(model, past, wanted, **more)

        monkeypatch.setattr(Course, "decide", deciding)
        monkeypatch.setattr(refitting, "learnt", learning)
        monkeypatch.setattr("treadle.loop.refit_workers.refit", refitted)
        monkeypatch.setattr(contest, "judge", judging)
        monkeypatch.setattr(replay, "compared", comparing)
        monkeypatch.setattr(contest, "performed", performing)

    def _look(self, what: str, rows: pl.DataFrame) -> None:
        assert self.now is not None
        self.seen[what] += 1
        for row in rows.select("id", "at", "_outcome_at", "rate").to_dicts():
            told = self._truth[row["id"]]["told_at"]
            if row["at"] >= self.now or told >= self.now or row["_outcome_at"] >= self.now:
                self.late.append(f"{self.now} {what}: {row}")


def decisions(found: GridReplay, until: datetime) -> list[tuple[object, ...]]:
    """Everything that was decided up to a moment, with every number of the verdicts."""
    return [
        (
            one.name,
            turn.at,
            turn.reason,
            turn.data_version,
            turn.window,
            turn.rows,
            turn.passed,
            numbers(turn),
        )
        for one in found.policies
        for turn in one.trainings
        if turn.at <= until
    ]


def numbers(turn: contest.Turned) -> list[tuple[object, ...]]:
    return [
        (v.gate, v.candidate_value, v.reference_value, v.low, v.high, v.n, v.passed) for v in turn.verdicts
    ]


def test_whatever_is_read_for_a_moment_had_come_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witness = Witness(monkeypatch)
    with made(tmp_path / "loans") as workspace:
        found = workspace.replay_grid("pays", GRID, step="1d")
        versions = {one.version: one.created_at for one in workspace.datasets.versions("loans")}

    assert witness.late == []
    assert all(count > 0 for count in witness.seen.values()), witness.seen
    turns = [turn for one in found.policies for turn in one.trainings]
    assert len(found.policies) >= 12
    assert all(turn.window.end <= turn.at for turn in turns)
    assert all(turn.data_version is None or versions[turn.data_version] <= turn.at for turn in turns)
    assert {turn.data_version for turn in turns} >= {1, 2, 3}


def test_poison_in_all_that_came_later_changes_no_decision(tmp_path: Path) -> None:
    with made(tmp_path / "clean") as workspace:
        clean = workspace.replay_grid("pays", GRID, step="1d")
    with made(tmp_path / "poisoned", poisoned=True) as workspace:
        poisoned = workspace.replay_grid("pays", GRID, step="1d")

    assert len(decisions(clean, MIDDLE)) >= 20
    assert decisions(poisoned, MIDDLE) == decisions(clean, MIDDLE)
    assert decisions(poisoned, poisoned.until) != decisions(clean, clean.until)


@pytest.mark.parametrize("leaks", ["rows", "outcomes"])
def test_the_witness_sees_a_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaks: str) -> None:
    from treadle.loop.history import Past

    def leaking(past: Past, moment: datetime) -> np.ndarray:
        at = micros(moment + timedelta(hours=5))
        there: np.ndarray = past.time < (at if leaks == "rows" else micros(moment))
        return there & (past.arrived < at)

    monkeypatch.setattr(Past, "known", leaking)
    witness = Witness(monkeypatch)
    with made(tmp_path / "loans") as workspace:
        workspace.replay_grid("pays", Grid(), step="1d")

    assert witness.late


def test_hindsight_is_asked_for_live_losses_of_known_outcomes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[tuple[int, int]] = []
    known = contest.Contest._performed

    def counting(self: Any, racer: Any, moment: datetime, span: str) -> Any:
        found = known(self, racer, moment, span)
        if found is not None:
            hindsight: Hindsight = self.hindsight
            low, high = hindsight.span(found.since, moment)
            counts.append((found.n, int((hindsight.arrived[low:high] < micros(moment)).sum())))
        return found

    monkeypatch.setattr(contest.Contest, "_performed", counting)
    with made(tmp_path / "loans") as workspace:
        workspace.replay_grid("pays", Grid(triggers={"decay": GRID.triggers["decay"]}), step="1d")

    assert counts
    assert all(used == there for used, there in counts)
