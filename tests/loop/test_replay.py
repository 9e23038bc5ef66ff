"""A replay says what the policy would have done, and leaves nothing behind."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import tiny
from sqlalchemy import func, select

from treadle.app.workspace import Workspace
from treadle.core.errors import InvalidInput, NotFound
from treadle.store.ledger import tables as t


def test_a_replay_trains_when_the_policy_fires_and_registers_nothing(inline: Workspace, root: Path) -> None:
    for week in range(1, 5):
        tiny.land(root, week, rows=600)
    inline.ingest()

    found = inline.replay("buys", step="1d")

    assert (found.model, found.metric) == ("buys", "log_loss")
    assert len(found.trainings) >= 4
    assert all("NewRows" in training.reason for training in found.trainings)
    assert all(training.window.end <= training.at for training in found.trainings)
    moments = [training.at for training in found.trainings]
    assert moments == sorted(moments)
    sizes = [training.rows for training in found.trainings]
    assert sizes == sorted(sizes)
    assert [training.passed for training in found.trainings[:2]] == [
        False,
        True,
    ]  # too few test rows at first
    assert {verdict.gate for verdict in found.trainings[1].verdicts} == {"beats", "no_worse"}
    assert 4 <= len(found.weeks) <= 6
    assert found.weeks[1].start - found.weeks[0].start == timedelta(weeks=1)
    assert found.loss["fresh"] < found.loss["baseline:prior_by_shop"]
    assert set(found.loss) == {"fresh", "frozen", "baseline:prior_by_shop"}
    with inline.ledger.read() as connection:
        for table in (t.runs, t.model_versions, t.verdicts, t.steps, t.revisions, t.decisions, t.aliases):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0, table.name


def test_a_replay_may_be_a_part_of_the_history(inline: Workspace, root: Path) -> None:
    for week in range(1, 4):
        tiny.land(root, week)
    inline.ingest()

    found = inline.replay("buys", since=tiny.BEGIN, until=tiny.BEGIN + timedelta(days=10), step="12h")

    assert found.until == tiny.BEGIN + timedelta(days=10)
    assert all(training.at <= found.until for training in found.trainings)
    assert sum(week.rows for week in found.weeks) < 2500


def test_a_replay_needs_a_history(inline: Workspace, root: Path) -> None:
    with pytest.raises(NotFound):
        inline.replay("buys")
    inline.ingest()
    with pytest.raises(InvalidInput, match="no time in it"):
        inline.replay("buys", since=tiny.BEGIN + timedelta(days=99))
    with pytest.raises(InvalidInput, match="step"):
        inline.replay("buys", step="0s")
