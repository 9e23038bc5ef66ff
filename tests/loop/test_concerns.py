"""A person is told once of what holds, whoever caused it, and once more when it no longer holds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import RunFailed, StoreUnavailable
from treadle.monitoring.channel import Message
from treadle.monitoring.routes import Routes

#: The rows of `tiny` reach from here for a week.
BEGIN = datetime(2020, 1, 6, tzinfo=UTC)


class Heard:
    """A channel that keeps what it was told: rule, and whether it still holds."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def send(self, message: Message) -> None:
        self.told += [(message.rule, message.state == "raised") for _ in message.alerts]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def watched(opened: tiny.Opener, root: Path, clock: ManualClock, heard: Heard) -> Workspace:
    """A project whose model must not be older than 14 days, nor its data than 10."""
    file = root / "project.py"
    promised = 'td.Policy(stale_after="14d", data_stale_after="10d", triggers='
    file.write_text(file.read_text().replace("td.Policy(triggers=", promised))
    clock.set(BEGIN)
    workspace = opened(clock=clock, compute__engine="inline")
    workspace.__dict__["routes"] = Routes(channels={"heard": lambda: heard})  # type: ignore[dict-item, return-value]
    return workspace


def rules(workspace: Workspace) -> list[str]:
    return sorted(alert.rule for alert in workspace.alerts.open())


def test_a_model_and_its_data_that_grow_old_are_told_once_and_resolved(
    watched: Workspace, root: Path, clock: ManualClock, heard: Heard
) -> None:
    clock.advance("7d")
    watched.tick()
    assert rules(watched) == []

    clock.advance("11d")
    watched.tick()
    watched.tick()
    assert rules(watched) == ["stale-data"]

    clock.advance("5d")
    watched.tick()
    (model, data) = watched.alerts.open()
    assert (model.rule, data.rule) == ("stale-model", "stale-data")
    assert model.subject == "model:buys"
    assert model.text.startswith("What the champion has learnt from is 16d")
    assert model.text.endswith("the limit is 14d.")

    tiny.land(root, 3, rows=600)
    watched.tick()
    assert rules(watched) == []
    assert sorted(heard.told) == [
        ("stale-data", False),
        ("stale-data", True),
        ("stale-model", False),
        ("stale-model", True),
    ]


def test_status_says_what_is_stale_without_a_watcher(watched: Workspace, clock: ManualClock) -> None:
    clock.advance("7d")
    watched.run("buys")
    clock.advance("30d")

    (model,) = watched.status().models

    assert [text[:14] for text in model.stale] == ["The newest row", "What the champ"]
    assert watched.alerts.open() == []


def test_without_a_version_or_rows_the_promises_are_broken(watched: Workspace, root: Path) -> None:
    (root / "landing" / "0000.csv").unlink()

    watched.tick()

    texts = sorted(alert.text for alert in watched.alerts.open())
    assert texts == [
        "No version answers yet; the limit is 14d.",
        "There is no data yet; the limit is 10d.",
    ]


def test_a_run_that_failed_by_hand_is_told_by_the_watcher_until_one_succeeds_by_hand(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    clock.advance("7d")
    tiny.feel(root, "raises")
    with pytest.raises(RunFailed) as failed:
        watched.run("buys")

    watched.tick()
    (alert,) = [alert for alert in watched.alerts.open() if alert.rule == "failed-run"]
    tiny.feel(root, "well")
    watched.run("buys")
    watched.tick()

    assert "the moon is wrong" in alert.text
    assert f"treadle runs show {failed.value.run}" in alert.text
    assert rules(watched) == []


def test_a_run_that_does_not_end_is_told_of(
    watched: Workspace, root: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        msg = "The objects store is away."
        raise StoreUnavailable(msg)

    clock.advance("7d")
    with monkeypatch.context() as broken:
        broken.setattr(watched.rooms.engine, "run", away)
        watched.tick()
        before = rules(watched)
        watched.tick()
        watched.tick()
        (alert,) = [alert for alert in watched.alerts.open() if alert.rule == "unfinished-run"]
    watched.tick()

    (run,) = watched.runs.list(model="buys")
    assert "unfinished-run" not in before
    assert "has been begun 3 times and has not ended" in alert.text
    assert (run.status, run.attempts) == ("succeeded", 4)
    assert rules(watched) == []
