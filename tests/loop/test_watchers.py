"""Several watchers, killed and stopped at random: each due model is trained once for each reason. And a year of ticks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import tiny
from sqlalchemy import func, select

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.store.ledger import tables as t

FULL = bool(os.environ.get("TREADLE_FULL"))
MODELS, ROUNDS, SECONDS = (20, 4, 600.0) if FULL else (4, 2, 6.0)
#: A year is walked through in so many ticks: at full size one every ten seconds.
TICKS = 3_153_600 if FULL else 1_500
#: How often on the way the ledger is measured.
LOOKS = 32 if FULL else 3
#: The longest that anything may take before the test gives up.
PATIENCE = 900 if FULL else 120


def many(root: Path, count: int) -> Path:
    """Make a project of several models over the same rows."""
    tiny.make(root)
    file = root / "project.py"
    text = file.read_text()
    head, one = text[: text.index("@td.model(")], text[text.index("@td.model(") :]
    file.write_text(head + "\n\n".join(one.replace("def buys", f"def buys_{n:02}") for n in range(count)))
    return root


def watcher(root: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "treadle.app.cli.main",
        "watch",
        "--interval",
        "1s",
        "--project",
        str(root),
    ]
    env = {**os.environ, **tiny.ONE_THREAD, "TREADLE_COMPUTE__ENGINE": "inline", "TREADLE_LOOP__LEASE": "2"}
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def reasons(workspace: Workspace) -> Counter[tuple[str, str, int, str]]:
    """How often each model was trained for each reason, on which rows (600 new ones come more than once), and how that ended."""
    runs = workspace.runs.list(limit=10_000)
    return Counter((run.model, run.reason, run.data["visits"], run.status) for run in runs)


@pytest.mark.slow
@pytest.mark.timeout(2 * (SECONDS + PATIENCE))
def test_watchers_that_are_killed_and_stopped_train_each_model_once_for_each_reason(tmp_path: Path) -> None:
    root, chance = many(tmp_path / "shop", MODELS), random.Random(0)
    watchers = [watcher(root) for _ in range(2)]
    expected = MODELS * ROUNDS
    try:
        with open_workspace(root, overrides={"compute.engine": "inline"}) as looking:
            landed, until = 1, time.monotonic() + SECONDS
            end = time.monotonic() + SECONDS + PATIENCE
            while time.monotonic() < end:
                done = [run for run in looking.runs.list(limit=10_000) if run.status != "running"]
                if len(done) == MODELS * landed and landed < ROUNDS:
                    tiny.land(root, landed, rows=600)
                    landed += 1
                if len(done) >= expected and time.monotonic() >= until:
                    break
                if time.monotonic() < until:
                    hit(watchers, root, chance)
                time.sleep(chance.uniform(0.2, 1.5))

            found = reasons(looking)
            versions = {name: len(looking.models.versions(name)) for name in looking.project.models}
            due = Counter(one.model for name in versions for one in looking.decisions.list(name) if one.due)
    finally:
        for one in watchers:
            one.send_signal(signal.SIGCONT)
            one.kill()
            one.wait()

    assert set(found.values()) == {1}
    assert len(found) == expected
    assert {status for _, _, _, status in found} <= {"succeeded", "rejected"}
    assert versions == due == dict.fromkeys(versions, ROUNDS)


def hit(watchers: list[subprocess.Popen[bytes]], root: Path, chance: random.Random) -> None:
    """Kill one of the watchers and start another in its place, or stop it for longer than its lease."""
    place = chance.randrange(len(watchers))
    if chance.random() < 0.6:
        watchers[place].kill()
        watchers[place].wait()
        watchers[place] = watcher(root)
    elif chance.random() < 0.5:
        watchers[place].send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        watchers[place].send_signal(signal.SIGCONT)


def rows(workspace: Workspace) -> dict[str, int]:
    """How many rows each table of the ledger has."""
    with workspace.ledger.read() as connection:
        return {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in t.metadata.sorted_tables
        }


@pytest.mark.slow
@pytest.mark.timeout(7200 if FULL else 600)
def test_a_ledger_does_not_grow_with_ticks(tmp_path: Path) -> None:
    """A year of ticks: only what happens is kept, however often somebody looks."""
    root, clock = tiny.make(tmp_path / "shop"), ManualClock(tiny.BEGIN + timedelta(weeks=1))
    file = root / "project.py"
    file.write_text(
        file.read_text().replace(
            "td.Policy(triggers=[td.NewRows(500)])",
            'td.Policy(triggers=[td.NewRows(500), td.Schedule("0 3 * * 1", zone="Europe/Berlin")], cooldown="1d")',
        )
    )
    with open_workspace(root, clock=clock, overrides={"compute.engine": "inline"}) as workspace:
        workspace.tick()
        clock.advance("10s")
        workspace.tick()
        before, found = rows(workspace), [measured(workspace, root)]
        step = f"{365 * 24 * 3600 // TICKS}s"
        for look in range(LOOKS):
            begun = time.process_time()
            for _ in range(TICKS // LOOKS):
                clock.advance(step)
                workspace.tick()
            spent = (time.process_time() - begun) / (TICKS // LOOKS)
            found.append(measured(workspace, root))
            size, status = found[-1]
            sys.stderr.write(
                f"{(look + 1) * (TICKS // LOOKS):,} ticks: {spent * 1e3:.2f} ms each, ledger {size:,} bytes, status {status * 1e3:.0f} ms\n"
            )

        # The policy cools down for a day and waits from then on: two sentences, kept once each, however long.
        grown = {name: n - before[name] for name, n in rows(workspace).items() if n != before[name]}
        assert set(grown) <= {"decisions"}
        assert grown.get("decisions", 0) <= 2
        sizes, times = zip(*found, strict=True)
        assert max(sizes) - sizes[0] <= 64 * 1024
        assert sizes[-1] == sizes[1]
        assert min(times[-3:]) <= 2 * min(times[:3])


def measured(workspace: Workspace, root: Path) -> tuple[int, float]:
    """Return the bytes of the ledger, and the seconds of CPU that a look at the state takes."""
    looks = []
    for _ in range(3):
        begun = time.process_time()
        workspace.status()
        looks.append(time.process_time() - begun)
    return ledger_size(root), min(looks)


def ledger_size(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / ".treadle").glob("ledger.db*"))
