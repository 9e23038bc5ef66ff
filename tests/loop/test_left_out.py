"""Files whose rows break a rule that skips are left out and told of; what is good goes on, and a mended file is taken in."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(tiny.BEGIN)


@pytest.fixture
def watched(opened: tiny.Opener, root: Path, clock: ManualClock) -> Workspace:
    """A project that leaves out files of fewer than 100 rows."""
    file = root / "project.py"
    rule = 'outcome="bought",\n    rules=[td.rules.Rows(at_least=100, severity="skip")],'
    file.write_text(file.read_text().replace('outcome="bought",', rule))
    clock.advance("7d")
    return opened(clock=clock, compute__engine="inline")


def told(workspace: Workspace) -> list[str]:
    return [alert.text for alert in workspace.alerts.open()]


def test_a_file_that_breaks_a_rule_is_left_out_and_the_others_go_on(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    watched.tick()
    tiny.land(root, 1, rows=20)
    tiny.land(root, 2, rows=300)
    clock.advance("7d")
    watched.tick()

    (alert,) = watched.alerts.open()
    newest = watched.datasets.version("visits")
    assert (newest.version, newest.rows, newest.landed) == (2, 2_300, 300)
    assert [Path(file).name for file in newest.files] == ["0002.csv"]
    assert (alert.rule, alert.subject) == ("bad-files", "dataset:visits")
    assert "landing/0001.csv: left out" in alert.text
    assert "rule rows: 20 new rows came; expected at least 100" in alert.text


def test_what_was_left_out_is_read_again_when_it_changes_and_the_alert_ends(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    watched.tick()
    tiny.land(root, 1, rows=20)
    clock.advance("1d")
    watched.tick()
    before = told(watched)
    watched.tick()
    tiny.land(root, 1, rows=500)
    clock.advance("1d")
    watched.tick()

    assert len(before) == 1
    assert told(watched) == []
    assert watched.datasets.version("visits").rows == 2_500
    assert watched.datasets.problems("visits") == []
    assert len(watched.alerts.history(rule="bad-files")) == 1


def test_the_alert_ends_when_newer_rows_are_good_and_the_problem_stays_listed(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    watched.tick()
    tiny.land(root, 1, rows=20)
    clock.advance("1d")
    watched.tick()
    tiny.land(root, 2)
    clock.advance("1d")
    watched.tick()

    assert told(watched) == []
    (problem,) = watched.datasets.problems("visits")
    assert "0001.csv" in problem


def test_another_rule_lets_a_file_that_was_left_out_be_read_again(
    watched: Workspace, opened: tiny.Opener, root: Path, clock: ManualClock
) -> None:
    tiny.land(root, 1, rows=20)
    watched.tick()
    file = root / "project.py"
    file.write_text(file.read_text().replace("at_least=100", "at_least=10"))

    with opened(clock=clock, compute__engine="inline") as later:
        later.ingest()

        assert later.datasets.version("visits").rows == 2_020
        assert later.datasets.problems("visits") == []
