"""A grid of policies is replayed with only what was known, shares its fits, and recommends one for a reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny

import treadle as td
from treadle.app.cli.main import main
from treadle.app.replayed.page import page
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidInput
from treadle.loop.choosing import GridReplay
from treadle.loop.grid import Grid, read
from treadle.loop.weighing import difference

pytestmark = pytest.mark.slow
GRID = Grid(
    triggers={
        "rows": [td.NewRows(500)],
        "rare": [td.NewRows(1500)],
        "decay": [td.NewRows(1500), td.Decay(over="7d")],
    },
    windows={"all": td.Expanding(), "7d": td.Last("7d")},
    gates={"declared": [td.gates.Beats("baseline"), td.gates.NoWorse("champion", margin=0.1)], "none": ()},
)
MIDDLE = tiny.BEGIN + timedelta(days=16)


def decisions(found: GridReplay, *, until: datetime) -> dict[str, list[tuple[object, ...]]]:
    """Everything that was decided up to a moment, with every number of the verdicts."""
    return {
        one.name: [
            (
                turn.at,
                turn.reason,
                turn.window,
                turn.rows,
                turn.passed,
                *tuple(
                    (v.gate, v.candidate_value, v.reference_value, v.low, v.high, v.n) for v in turn.verdicts
                ),
            )
            for turn in one.trainings
            if turn.at <= until
        ]
        for one in found.policies
    }


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five weeks, the relation turned round after the third."""
    root = tiny.make(tmp_path_factory.mktemp("grid") / "shop", rows=700)
    for week in range(1, 5):
        tiny.land(root, week, rows=700)
        if week > 2:
            turn_round(root / "landing" / f"{week:04}.csv")
    return root


def turn_round(path: Path) -> None:
    rows = pl.read_csv(path)
    rows.with_columns(~pl.col("bought")).write_csv(path)


@pytest.fixture(scope="module")
def raced(history: Path) -> GridReplay:
    with open_workspace(history, overrides={"compute.engine": "inline"}) as workspace:
        workspace.ingest()
        return workspace.replay_grid("buys", GRID, step="1d")


def test_every_combination_is_walked_and_fits_are_shared(raced: GridReplay) -> None:
    assert len(raced.policies) == 13
    assert raced.policies[0].name == "declared"
    assert raced.fits_asked == sum(len(one.trainings) for one in raced.policies)
    assert raced.fits < raced.fits_asked
    like = raced.policy("rows, window all, gates declared")
    assert decisions(raced, until=raced.until)[like.name] == decisions(raced, until=raced.until)["declared"]
    assert like.loss == raced.policy("declared").loss
    assert like.against is not None
    assert like.against.value == like.against.low == like.against.high == 0.0


@pytest.mark.parametrize("asks", ["", "data.window", "vars(data)", "pickle.dumps(data)"])
def test_windows_that_see_the_same_rows_share_a_fit_unless_they_are_asked_for(
    tmp_path: Path, asks: str
) -> None:
    root = tiny.make(tmp_path / "shop", rows=700)
    tiny.land(root, 1, rows=700)
    file = root / "project.py"
    text = file.read_text().replace('    note(run, "begun")', f'    note(run, "begun")\n    {asks}')
    file.write_text(text.replace("import os\n", "import os\nimport pickle\n"))
    windows = {"all": td.Expanding(), "long": td.Last("900d"), "7d": td.Last("7d")}
    with open_workspace(root, overrides={"compute.engine": "inline"}) as workspace:
        workspace.ingest()
        found = workspace.replay_grid(
            "buys", Grid(triggers={"rows": [td.NewRows(500)]}, windows=windows, gates={"none": ()}), step="1d"
        )

    every, long = found.policy("rows, window all, no gates"), found.policy("rows, window long, no gates")
    begun = (root / "trainings.txt").read_text().count("begun")
    kinds = 3 if asks else 2
    firsts = sum(turn.window.start is not None for turn in long.trainings)
    assert begun == found.fits
    assert every.loss == long.loss
    assert firsts == len(long.trainings) == len(every.trainings)
    assert found.fits == kinds * len(every.trainings) - (0 if asks else shared(found, "7d"))


def shared(found: GridReplay, window: str) -> int:
    """Return how many fits of a window see all rows there are."""
    trainings = found.policy(f"rows, window {window}, no gates").trainings
    return sum(turn.window.start <= tiny.BEGIN for turn in trainings if turn.window.start is not None)


def test_the_policy_that_forgets_wins_where_the_world_turned_round(raced: GridReplay) -> None:
    forgets = raced.policy("rows, window 7d, no gates")

    assert forgets.against is not None
    assert forgets.against.is_better
    assert raced.recommended.startswith(("rows, window 7d", "decay, window 7d"))
    assert raced.policy(raced.recommended).name in raced.recommended
    assert raced.reason
    assert raced.beside["frozen"][-1] is not None
    assert raced.beside["frozen"][-1] > (forgets.weeks[-1] or 9)


def test_what_hindsight_says_of_gates_is_told(raced: GridReplay) -> None:
    ungated = raced.policy("rows, window all, no gates")

    assert ungated.promotions == len(ungated.trainings)
    assert ungated.missed == 0
    assert all(turn.later is None or turn.later.days >= 2 for turn in ungated.trainings)


def test_no_decision_used_what_came_later(tmp_path: Path, history: Path, raced: GridReplay) -> None:
    """Everything after a moment is poisoned, and all that was decided until then is the same to the last digit."""
    for week in range(5):
        tiny.land(tiny.make(tmp_path / "shop", rows=700), week, rows=700) if week == 0 else None
        whole = pl.read_csv(history / "landing" / f"{week:04}.csv", try_parse_dates=True)
        later = pl.col("seen_at") >= MIDDLE
        poison = [
            pl.when(later).then(~pl.col("bought")).otherwise(pl.col("bought")).alias("bought"),
            *(
                pl.when(later).then(pl.col(name) * -1e6 + 77).otherwise(pl.col(name)).alias(name)
                for name in ("pages", "minutes")
            ),
        ]
        whole.with_columns(poison).write_csv(
            tmp_path / "shop" / "landing" / f"{week:04}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ"
        )

    with open_workspace(tmp_path / "shop", overrides={"compute.engine": "inline"}) as workspace:
        workspace.ingest()
        found = workspace.replay_grid("buys", GRID, step="1d")

    assert any(decisions(raced, until=MIDDLE).values())
    assert decisions(found, until=MIDDLE) == decisions(raced, until=MIDDLE)
    assert decisions(found, until=found.until) != decisions(raced, until=raced.until)


def test_the_declared_policy_does_in_replay_what_it_did_in_life(opened: tiny.Opener, tmp_path: Path) -> None:
    root = tiny.make(tmp_path / "lived", rows=700)
    clock = ManualClock(tiny.BEGIN)
    with open_workspace(root, clock=clock, overrides={"compute.engine": "inline"}) as living:
        for week in range(4):
            tiny.land(root, week, rows=700)
            clock.set(tiny.BEGIN + timedelta(weeks=week + 1))
            living.tick()
        lived = [(run.started_at, run.reason, run.status == "succeeded") for run in living.runs.list()][::-1]

        found = living.replay_grid("buys", Grid(), step="7d")

    declared = found.policy("declared")
    assert len(lived) >= 3
    assert [(turn.at, turn.reason, turn.passed) for turn in declared.trainings] == lived[
        : len(declared.trainings)
    ]
    assert len(declared.trainings) >= len(lived) - 1  # the last moment may lie behind the last row


def test_texts_become_a_grid(workspace: Workspace) -> None:
    model = workspace.project.model("buys")

    grid = read(
        model, triggers=["declared", "new_rows:5000+age:14d"], windows=["90d", "tumbling:7d"], gates=["none"]
    )

    assert grid.size == 4
    assert [one.spec() for one in grid.triggers["new_rows:5000+age:14d"]] == [
        td.NewRows(5000).spec(),
        td.Age("14d").spec(),
    ]
    assert len(Grid().plans(model)) == 1
    assert len(read(model, triggers=[], windows=[], gates=[]).plans(model)) == 12
    for wrong in (
        {"triggers": ["new_row:5"]},
        {"triggers": ["new_rows:five"]},
        {"windows": ["a week"]},
        {"gates": ["some"]},
    ):
        with pytest.raises((InvalidInput, TypeError)):
            read(model, **({"triggers": [], "windows": [], "gates": []} | wrong))


def test_the_page_says_what_to_take_and_needs_nothing_else(raced: GridReplay) -> None:
    text = page(raced)

    assert raced.recommended in text
    assert text.count('class="turns"') == len(raced.policies)
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_the_command_compares(history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "grid.html"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "replay",
                "buys",
                "--grid",
                "--trigger",
                "declared",
                "--window",
                "declared",
                "--window",
                "7d",
                "--gates",
                "none",
                "--step",
                "7d",
                "--html",
                str(target),
                "--project",
                str(history),
            ]
        )

    assert not ended.value.code
    told = capsys.readouterr().out
    assert "take:" in told
    assert "window 7d, no gates" in told
    assert target.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("days", [20, 60])
def test_intervals_of_paired_days_hold_as_often_as_they_say(days: int) -> None:
    chance, hits = np.random.default_rng(0), 0
    time = np.repeat(np.arange(days), 30) * 86_400_000_000
    for _ in range(600):
        shared = np.repeat(chance.normal(0, 0.5, days), 30)  # a day is good or bad for everybody on it
        gap = 0.1 + shared + chance.normal(size=days * 30)
        found = difference(gap, np.zeros(days * 30), time=time, alpha=0.05)
        assert found is not None
        hits += found.low <= 0.1 <= found.high

    assert 0.90 <= hits / 600 <= 0.98
