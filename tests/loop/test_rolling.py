"""Rollouts move on by what servers counted and what was logged; whoever looks, however often, each change is made once."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import tiny
from sqlalchemy import event

import treadle as td
from treadle.app.cli.main import main
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import Conflict, InvalidDeclaration
from treadle.core.rollout import RolloutState
from treadle.serving.entries import OutcomeEntry, PredictionEntry
from treadle.serving.frames import tables_of
from treadle.serving.tallies import Reported, Tally

CASE = "buys"
PLAN = td.Rollout(steps=[0.1, 0.5], bake="10m", guards=[td.guards.Errors()])
BEGIN = datetime(2020, 3, 1, tzinfo=UTC)
Starter = Callable[[td.Rollout], Workspace]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGIN)


def declare(root: Path, policy: str) -> None:
    file = root / "project.py"
    file.write_text(file.read_text().replace("NewRows(500)]", f"NewRows(500)], {policy}"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two versions, of which the first answers."""
    root = tiny.make(tmp_path_factory.mktemp("trained") / "shop")
    declare(root, 'action="canary"')
    with open_workspace(root, clock=ManualClock(BEGIN), overrides={"compute.engine": "inline"}) as workspace:
        workspace.run(CASE)
        tiny.land(root, 1)
        workspace.run(CASE)
        workspace.rolling.roll_back(CASE, reason="not now")
    return root


@pytest.fixture
def start(trained: Path, root: Path, clock: ManualClock) -> Iterator[Starter]:
    """Starts a rollout of the second version by a plan."""
    shutil.rmtree(root)
    shutil.copytree(trained, root)
    with open_workspace(root, clock=clock, overrides={"compute.engine": "inline"}) as workspace:

        def begin(plan: td.Rollout) -> Workspace:
            workspace.rolling.start(f"{CASE}/2", plan, reason="to be tried")
            return workspace

        yield begin


@pytest.fixture
def rolled(start: Starter) -> Workspace:
    """A workspace whose second version is in the first step of its rollout."""
    return start(PLAN)


def count(workspace: Workspace, *, requests: int = 500, failed: int = 0, seconds: float = 0.001) -> None:
    """Let a server have counted so many requests of each variant in this step."""
    state = workspace.rollouts.get(CASE)
    tallies = {"champion": Tally(), "challenger": Tally()}
    for name, tally in tallies.items():
        for number in range(requests):
            if name == "challenger" and number < failed:
                tally.missed()
            else:
                tally.answered(seconds)
    workspace.rollouts.report(Reported(server="s1", endpoint=CASE, revision=state.revision, tallies=tallies))


def answering(workspace: Workspace) -> list[tuple[int, float]]:
    return [(variant.version, variant.weight) for variant in workspace.endpoints.get(CASE).variants]


def newest(workspace: Workspace) -> RolloutState:
    return workspace.rollouts.get(CASE)


def test_the_action_canary_starts_a_rollout_by_the_declared_plan(
    root: Path, opened: tiny.Opener, clock: ManualClock
) -> None:
    declare(root, 'action="canary", rollout=td.Rollout(steps=[0.1, 0.5])')
    workspace = opened(clock=clock, compute__engine="inline")
    workspace.run(CASE)
    tiny.land(root, 1)
    workspace.run(CASE)
    (endpoint,) = workspace.status().endpoints
    answered = answering(workspace)
    tiny.land(root, 2)

    workspace.run(CASE)

    assert answered == [(1, 0.9), (2, 0.1)]
    assert workspace.models.aliases(CASE) == {"champion": 1, "challenger": 3}
    assert endpoint.rollout is not None
    assert endpoint.rollout.told() == "running, step 1 of 2 (10 % of the subjects)"
    # A newer version takes the place of the one on its way.
    assert answering(workspace) == [(1, 0.9), (3, 0.1)]
    assert [state.status for state in workspace.rollouts.list()] == ["running", "rolled back"]


def test_it_bakes_advances_and_is_promoted_with_its_alias(rolled: Workspace, clock: ManualClock) -> None:
    seen = []
    for _ in range(3):
        count(rolled)
        rolled.rolling.tick()
        seen.append(answering(rolled))
        clock.advance("11m")
    rolled.rolling.tick()

    assert seen == [[(1, 0.9), (2, 0.1)], [(1, 0.5), (2, 0.5)], [(2, 1.0)]]
    assert rolled.models.aliases(CASE) == {"champion": 2, "challenger": 2, "previous": 1}
    assert [change.what for change in newest(rolled).history] == ["started", "advanced", "promoted"]
    assert "failed 0 of 500 requests" in newest(rolled).history[-1].reason


def test_too_few_requests_keep_it_where_it_is(rolled: Workspace, clock: ManualClock) -> None:
    count(rolled, requests=99)
    clock.advance("1d")

    rolled.rolling.tick()

    standing = rolled.rolling.standing(newest(rolled))
    assert (standing.due, standing.reason) == ("", "has had 99 of 100 requests in this step")


def test_a_guard_rolls_back_and_a_person_is_told(rolled: Workspace) -> None:
    count(rolled, failed=100)

    rolled.rolling.tick()

    (alert,) = rolled.alerts.open()
    assert answering(rolled) == [(1, 1.0)]
    assert rolled.models.aliases(CASE)["champion"] == 1
    assert newest(rolled).history[-1].actor == "guard errors"
    assert newest(rolled).history[-1].verdicts[0].status == "bad"
    assert (alert.rule, alert.subject) == ("rollout", f"endpoint:{CASE}")
    rolled.promote(f"{CASE}/2", reason="the guard was wrong")
    rolled.rolling.tick()
    assert rolled.alerts.open() == []


def test_a_tick_that_changes_nothing_writes_nothing(rolled: Workspace) -> None:
    count(rolled)
    rolled.rolling.tick()
    written: list[str] = []

    def note(connection, cursor, statement, *_):  # type: ignore[no-untyped-def]
        written.extend(
            [] if statement.lstrip().upper().startswith(("SELECT", "BEGIN", "PRAGMA", "SET")) else [statement]
        )

    event.listen(rolled.ledger._backend.engine, "before_cursor_execute", note)
    for _ in range(3):
        rolled.rolling.tick()

    assert written == []


def test_several_watchers_make_each_change_once(rolled: Workspace, root: Path, clock: ManualClock) -> None:
    count(rolled)
    clock.advance("11m")

    with ExitStack() as stack:
        others = [stack.enter_context(open_workspace(root, clock=clock)) for _ in range(3)]
        threads = [threading.Thread(target=one.rolling.tick) for one in (rolled, *others)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [change.what for change in newest(rolled).history] == ["started", "advanced"]


def test_an_endpoint_that_a_person_changed_is_left_alone(rolled: Workspace) -> None:
    rolled.promote(f"{CASE}/1", reason="to be sure", actor="anna")

    rolled.rolling.tick()

    assert newest(rolled).told() == "failed by watcher: anna changed the endpoint (revision 5): to be sure"
    assert answering(rolled) == [(1, 1.0)]


def test_paused_it_stays_but_guards_roll_it_back(rolled: Workspace, clock: ManualClock) -> None:
    rolled.rolling.pause(CASE, reason="a holiday", actor="anna")
    count(rolled)
    clock.advance("1d")
    rolled.rolling.tick()
    stayed = newest(rolled).status
    count(rolled, failed=100)

    rolled.rolling.tick()

    assert (stayed, newest(rolled).status) == ("paused", "rolled back")


def test_by_hand_it_is_promoted_or_rolled_back_once(rolled: Workspace) -> None:
    done = rolled.rolling.promote(CASE, reason="it is fine", actor="anna")

    assert (done.status, answering(rolled)) == ("promoted", [(2, 1.0)])
    with pytest.raises(Conflict, match="promoted by anna: it is fine"):
        rolled.rolling.roll_back(CASE, reason="too late")


def test_the_action_shadow_waits_for_a_person(root: Path, opened: tiny.Opener, clock: ManualClock) -> None:
    declare(root, 'action="shadow", rollout=td.Rollout(guards=[])')
    workspace = opened(clock=clock, compute__engine="inline")
    workspace.run(CASE)
    first = workspace.endpoints.names()
    workspace.promote(f"{CASE}/1", reason="the first one")
    tiny.land(root, 1)
    workspace.run(CASE)
    count(workspace)
    clock.advance("1d")

    workspace.rolling.tick()

    variants = [(v.version, v.weight, v.shadow) for v in workspace.endpoints.get(CASE).variants]
    assert first == []
    assert variants == [(1, 1.0, 0.0), (2, 0.0, 1.0)]
    assert (
        workspace.rolling.standing(newest(workspace)).reason
        == "waits for a person: treadle rollouts promote buys"
    )
    assert "UNGUARDED" in newest(workspace).told()


def test_a_plan_that_no_action_would_use_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="would never be used"):
        td.Policy(action="replace", rollout=td.Rollout())


def log(
    workspace: Workspace,
    *,
    worse: bool,
    shadow: bool = False,
    outcomes: bool = True,
    n: int = 4_000,
    says: float | None = None,
) -> None:
    """Let the variants have answered so many requests each, with outcomes; a worse challenger knows nothing."""
    state, random = newest(workspace), np.random.default_rng(7)
    chance = random.beta(1, 1, 2 * n)
    happened = random.random(2 * n) < chance
    entries: list[PredictionEntry | OutcomeEntry] = []
    for i in range(2 * n):
        mine = i % 2 == 1
        pair = (state.primary, state.challenger) if shadow else (state.challenger if mine else state.primary,)
        for variant in pair:
            knows = not (worse and variant is state.challenger)
            said = float(chance[i]) if knows else float(1 - chance[i])
            if says is not None and variant is state.challenger:
                said = says
            entries.append(
                PredictionEntry(
                    request_id=f"r{i}",
                    endpoint=CASE,
                    revision=state.revision,
                    model=CASE,
                    version=variant.version,
                    variant=variant.name,
                    assignment="",
                    subject=f"user-{i}",
                    at=int(state.started_at.timestamp() * 1e6) + i,
                    latency=0.001,
                    inputs={"pages": [1.0], "minutes": [2.0], "shop": ["north"]},
                    keys=None,
                    predictions=[1.0],
                    probabilities=[said],
                    propensity=1.0 if shadow else 0.1 if mine else 0.9,
                    shadow=shadow and variant is state.challenger,
                )
            )
        if outcomes:
            outcome = OutcomeEntry(
                request_id=f"o{i}",
                endpoint=CASE,
                at=1,
                predictions=[f"r{i}-0"],
                keys=[None],
                values=[float(happened[i])],
            )
            entries.append(outcome)
    for name, frame in tables_of(entries).items():
        workspace.tables.append(name, frame, base=None)


@pytest.mark.parametrize("worse", [True, False])
@pytest.mark.parametrize("shadow", [True, False])
def test_a_worse_metric_of_the_outcomes_rolls_back_and_an_equal_one_goes_on(
    start: Starter, clock: ManualClock, *, worse: bool, shadow: bool
) -> None:
    guard = td.guards.Outcome("log_loss")
    workspace = start(td.Rollout(shadow=0.5 if shadow else 0.0, bake="10m", guards=[guard]))
    log(workspace, worse=worse, shadow=shadow, n=1_000)
    count(workspace)
    clock.advance("11m")

    workspace.rolling.tick()

    last = newest(workspace).history[-1]
    assert last.what == ("rolled back" if worse else "advanced"), last.reason
    assert ("on the same rows" if shadow else "of different subjects") in last.verdicts[0].reason


def test_without_outcomes_it_waits_for_them(start: Starter, clock: ManualClock) -> None:
    workspace = start(td.Rollout(guards=[td.guards.Outcome()]))
    log(workspace, worse=False, outcomes=False, n=300)
    count(workspace)
    clock.advance("1d")

    workspace.rolling.tick()

    reason = workspace.rolling.standing(newest(workspace)).reason
    assert newest(workspace).status == "running"
    assert reason.startswith("guard outcome waits: Outcomes of 0 of 200")


def test_answers_that_are_quite_otherwise_are_drift(start: Starter) -> None:
    workspace = start(td.Rollout(guards=[td.guards.Drift()]))
    log(workspace, worse=False, outcomes=False, n=1_000, says=0.9)

    workspace.rolling.tick()

    assert newest(workspace).history[-1].actor == "guard drift"


def test_the_command_line_shows_and_changes_rollouts(
    rolled: Workspace, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tell(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["rollouts", *words, "--project", str(root)])
        assert ended.value.code == 0
        return capsys.readouterr().out

    listed = tell("--json")
    shown = tell("show", CASE)
    paused = json.loads(tell("pause", CASE, "--reason", "a holiday", "--by", "anna", "--json"))
    tell("resume", CASE, "--reason", "back")
    back = tell("rollback", CASE, "--reason", "not yet", "--by", "anna")
    started = tell("start", f"{CASE}/2", "--steps", "0.5", "--unguarded", "--reason", "again", "--by", "anna")
    promoted = tell("promote", CASE, "--reason", "fine", "--by", "anna")
    with pytest.raises(SystemExit) as refused:
        main(["rollouts", "pause", CASE, "--reason", "no", "--project", str(root)])

    assert [state["status"] for state in json.loads(listed)] == ["running", "rolled back"]
    assert "has had 0 of 100 requests in this step" in shown
    assert (paused["status"], paused["history"][-1]["actor"]) == ("paused", "anna")
    assert "rolled back by anna: not yet" in back
    assert "UNGUARDED" in started
    assert "promoted by anna: fine" in promoted
    assert refused.value.code != 0
    assert answering(rolled) == [(2, 1.0)]
