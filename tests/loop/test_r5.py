"""R5: a turn of the loop killed at each of its boundaries goes on where it stopped, and nothing happens twice."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tiny
from facts import differences
from forks import Plan, Told

import services
from receiver import Receiver
from treadle.app.workspace import open_workspace
from treadle.core.clock import FileClock
from treadle.core.settings import as_environment
from treadle.loop import pipelines

HERE = Path(__file__).parent
#: Cases that are played at a time.
JOBS = 2
#: What the project's file needs so that its training process takes orders from `boundaries`.
_TAKES_ORDERS = f"import sys\n\nsys.path.insert(0, {str(HERE)!r})\nimport boundaries\n\nboundaries.join()\n"


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_of_base(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings of a plan over each ledger, and the URL of the ledger of its base."""
    if request.param == "sqlite":
        name = "sqlite:///{root}/.treadle/ledger.db"
        yield {"url": name, "base": name.format(root=tmp_path / "base"), "server": "", "template": ""}
        return
    server = request.getfixturevalue("postgresql_server")
    with services.fresh_database(server) as url:
        place, _, name = url.rpartition("/")
        yield {"url": f"{place}/{name}_{{case}}", "base": url, "server": server, "template": name}


def made(root: Path, *, action: str = "replace") -> Path:
    """Make a tiny project whose training saves a checkpoint and may be ordered to die."""
    tiny.make(root)
    file = root / "project.py"
    text = file.read_text()
    text = text.replace("NewRows(500)]", f"NewRows(500)], action={action!r}")
    text = text.replace(
        "    run.log_metric", "    run.save_checkpoint({'weights': b'1'})\n    run.log_metric"
    )
    file.write_text(_TAKES_ORDERS + text)
    return root


def played(folder: Path, plan: Plan) -> dict[str, Told]:
    """Play a plan to its end, and return what came of each case."""
    folder.mkdir()
    (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
    process = subprocess.run(
        [sys.executable, str(HERE / "forks.py"), str(folder), str(JOBS)],
        env={**os.environ, **tiny.ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    told = {}
    for place in sorted(folder.iterdir()):
        if place.is_dir():
            problem = (place / "problem.txt").read_text()
            assert (place / "told.json").is_file(), f"{place.name}: {problem}"
            told[place.name] = msgspec.json.decode((place / "told.json").read_bytes(), type=Told)
    return told


def check(case: str, told: Told, whole: Told) -> None:
    """The command died where it was to die, the next one made it whole, and the one after that found nothing to do."""
    number, side = case.split("-")
    effects, found, made = told.killed.effects, told.resumed.before, told.resumed.after
    assert effects == whole.killed.effects[: len(effects)]
    assert len(effects) == int(number) if side == "before" else len(effects) >= int(number)
    assert told.resumed.status == 0, told.resumed.said
    begun = {run["id"] for run in found.get("runs", []) if run["status"] == "running"}
    assert begun <= {run["id"] for run in made["runs"] if run["status"] == "succeeded"}
    if trained(found) == trained(made):
        assert found["trainings"] == made["trainings"]
    assert told.again.status == 0, told.again.said
    assert told.again.after["runs"] == made["runs"]
    assert told.again.after["trainings"] == made["trainings"]


def check_death_of_all(case: str, told: Told, whole: Told) -> None:
    """Nothing can be told from an undisturbed run, but the number of attempts."""
    check(case, told, whole)
    assert told.killed.status == -9
    # Where the kill came at the very end, the next run had nothing to go on with.
    ends = [differences(told.resumed.after, end) for end in (whole.resumed.before, whole.resumed.after)]
    assert {} in ends, ends
    assert not differences(told.again.after, whole.again.after)


def check_death_of_training(case: str, told: Told, whole: Told) -> None:
    """The run is recorded as failed, with a sentence, and the next one is made as if it had not been."""
    check(case, told, whole)
    assert told.killed.status == 4
    assert "The training process was ended by SIGKILL." in told.killed.said
    assert [run["status"] for run in told.again.after["runs"]] == ["failed", "succeeded"]
    failed, good = (run["id"] for run in told.again.after["runs"])
    rest = {**told.again.after, "runs": [{**whole.again.after["runs"][0], "id": good}]}
    assert failed not in msgspec.json.encode(rest).decode()
    assert not differences(rest, whole.again.after)


def trained(facts: dict[str, Any]) -> list[str]:
    """Return the runs whose training is kept."""
    return [run for step, run in facts.get("steps", []) if step == "train"]


def check_all(told: dict[str, Told], *, how: Callable[[str, Told, Told], None] = check_death_of_all) -> None:
    """Check every case, and name those that fail all at once."""
    whole = told.pop("whole")
    assert whole.killed.status == whole.resumed.status == whole.again.status == 0, whole.killed.said
    problems = {}
    for case, found in told.items():
        try:
            how(case, found, whole)
        except AssertionError as error:
            name = whole.killed.effects[int(case.split("-")[0]) - 1]
            problems[f"{case} {name}"] = str(error)[:1500]
    assert told
    assert not problems, "\n\n".join(f"{case}: {error}" for case, error in problems.items())


def challenged(root: Path, ledger: str, receiver: Receiver) -> Path:
    """Make a project with a champion, a run that failed after it, its alert, and new rows that make the model due."""
    made(root)
    (root / "clock.txt").write_text("2020-03-01T00:00:00+00:00")
    clock = FileClock(root / "clock.txt")
    settings = {"ledger.url": ledger, "compute.engine": "inline", "alerts.webhook": f"{receiver.url}/base"}
    for week, mood in ((0, "well"), (1, "raises"), (2, "well")):
        tiny.feel(root, mood)
        if week:
            tiny.land(root, week)
            clock.set(clock.now() + timedelta(hours=1))
        if week < 2:
            with open_workspace(root, clock=clock, overrides=settings) as workspace:
                workspace.tick()
    return root


def settings_of(ledger: dict[str, str], receiver: Receiver, **more: str) -> dict[str, Any]:
    """Return what a plan says about its stores."""
    settings = {"ledger.url": ledger["url"], "alerts.webhook": receiver.url + "/{case}", **more}
    sides = (("before",), ("after",), ()) if ledger["server"] else (("before", "after"),)
    return {"settings": settings, "server": ledger["server"], "template": ledger["template"], "sides": sides}


@pytest.mark.slow
def test_r5_a_first_turn_killed_at_every_boundary(
    tmp_path: Path, ledger_of_base: dict[str, str], receiver: Receiver
) -> None:
    base = made(tmp_path / "base", action="alert")
    plan = Plan(base=str(base), command=["run"], **settings_of(ledger_of_base, receiver))

    told = played(tmp_path / "cases", plan)

    check_all(told)
    for case, found in told.items():
        (alert,) = found.again.after["alerts"]
        assert set(receiver.got[f"/{case}"]) == {f"{alert['id']}.raised"}


@pytest.mark.slow
def test_r5_a_due_turn_killed_at_every_boundary(
    tmp_path: Path, ledger_of_base: dict[str, str], receiver: Receiver
) -> None:
    base = challenged(tmp_path / "base", ledger_of_base["base"], receiver)
    stores = settings_of(ledger_of_base, receiver, **{"clock.file": "clock.txt"})
    plan = Plan(base=str(base), command=["run", "--if-due"], **stores)

    told = played(tmp_path / "cases", plan)

    check_all(told)
    (raised,) = receiver.got["/base"]
    for case, found in told.items():
        (alert,) = found.again.after["alerts"]
        assert not alert["open"]
        assert raised == f"{alert['id']}.raised"
        assert set(receiver.got[f"/{case}"]) == {f"{alert['id']}.resolved"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "sides", "how"),
    [
        ("both", (("before",), ()), check_death_of_all),
        ("training", ((), ("after",)), check_death_of_training),
    ],
    ids=["with its parent", "alone"],
)
def test_r5_a_training_process_killed_at_its_boundaries(
    tmp_path: Path,
    receiver: Receiver,
    who: str,
    sides: tuple[tuple[str, ...], ...],
    how: Callable[[str, Told, Told], None],
) -> None:
    base = made(tmp_path / "base", action="alert")
    ledger = {"url": "sqlite:///{root}/.treadle/ledger.db", "server": "", "template": ""}
    plan = Plan(base=str(base), command=["run"], who=who, **settings_of(ledger, receiver) | {"sides": sides})

    told = played(tmp_path / "cases", plan)

    check_all(told, how=how)


@pytest.mark.slow
def test_r5_a_run_that_takes_its_process_down_each_time_ends_as_failed(
    tmp_path: Path, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny.make(tmp_path / "shop")
    settings = {"ledger.url": ledger_url, "compute.engine": "inline"}
    monkeypatch.setattr(pipelines, "MOST_ATTEMPTS", 2)
    with open_workspace(root, overrides=settings) as workspace:
        workspace.run("buys")
        tiny.land(root, 1)
        tiny.feel(root, "killed")
        died = [_killed_run(root, settings) for _ in range(2)]
        begun = tiny.trainings(root)

        (failed,) = workspace.tick()
        (held,) = workspace.tick()
        told = workspace.alerts.open()
        (last, first) = workspace.runs.list()
        champion = workspace.endpoints.get("buys").variants[0].version
        tiny.feel(root, "well")
        good = workspace.run("buys")
        workspace.tick()

        assert died == [-9, -9]
        assert failed.error == last.error
        assert last.error == (
            "The run was begun 2 times and its process died each time, 2 times without coming further; "
            "it is not tried again."
        )
        assert (first.status, last.status, last.attempts, champion) == ("succeeded", "failed", 2, 1)
        assert "after 1 failed runs in a row" in held.decision.reason
        assert [(alert.rule, last.error in alert.text) for alert in told] == [("failed-run", True)]
        assert tiny.trainings(root)[: len(begun)] == begun
        assert {run for run, _, _ in tiny.trainings(root)[len(begun) :]} == {good.run.id}
        assert workspace.models.aliases("buys")["champion"] == good.run.model_version == 2
        assert workspace.alerts.open() == []


def _killed_run(root: Path, settings: dict[str, str]) -> int:
    """Run `treadle run --if-due` in a process of its own, and return how it ended."""
    command = [sys.executable, "-m", "treadle.app.cli.main", "run", "--if-due"]
    environment = {**os.environ, **as_environment(settings)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, check=False).returncode
