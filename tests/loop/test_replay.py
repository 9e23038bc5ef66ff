"""A replay says what the policy would have done, and leaves nothing behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny
from sqlalchemy import func, select

from treadle.app.workspace import Workspace, open_workspace
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


SEVERAL = """
import treadle as td

rows = td.Dataset(
    "rows",
    source=td.Files("rows.parquet"),
    key="id",
    time="at",
    outcome="kind",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)


@td.model(
    data=rows,
    target="kind",
    inputs=["x"],
    task=td.Multiclass(),
    baselines=[td.baselines.Prior()],
    gates=[td.gates.Beats("baseline", min_rows=30)],
    policy=td.Policy(triggers=[td.NewRows(200)]),
)
def kinds(data, params, run):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(data.train.X, data.train.y)
"""


def test_a_class_that_appears_in_the_history_costs_those_who_do_not_know_it(tmp_path: Path) -> None:
    chance, days = np.random.default_rng(0), np.arange(900) // 30
    x = chance.normal(size=900)
    kind = np.select([(days >= 20) & (abs(x) < 0.3), x > 1, x < -1], ["new", "high", "low"], default="mid")
    at = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=int(day)) for day in days]
    pl.DataFrame({"id": range(900), "at": at, "x": x, "kind": kind}).write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "treadle.toml").write_text('[project]\nname = "kinds"\n')
    (tmp_path / "project.py").write_text(SEVERAL)

    with open_workspace(tmp_path) as workspace:
        workspace.datasets.ingest(workspace.project.dataset("rows"))
        found = workspace.replay("kinds", step="5d")

    assert len(found.trainings) >= 2
    assert found.loss["fresh"] < found.loss["frozen"]
    before, after = found.weeks[0].loss["frozen"], found.weeks[-1].loss["frozen"]
    assert before < 0.6 < 3 < after
    assert found.weeks[-1].loss["fresh"] < after
