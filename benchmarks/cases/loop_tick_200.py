"""CPU of a watcher's tick over 200 models of which none is due, against the bulk queries that it cannot do without."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

import many_models
from harness import Benchmark
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import TreadleError
from treadle.store.ledger import tables as t

#: Each model's policy: triggers that look at rows, outcomes and the age of its last run, and a budget.
POLICY = """
    policy=td.Policy(
        triggers=[td.NewRows(20_000), td.NewOutcomes(5_000), td.Age("20000d")],
        window=td.Last("365d"), cooldown="1d", budget=td.Budget(hours=10_000, per="7d"), stale_after="30000d",
    ),
"""


@dataclass
class Input:
    """An open project whose watcher has looked once, and how many ticks a sample has."""

    workspace: Workspace
    times: int


def prepare(folder: Path, quick: bool) -> Input:
    """Make the project, open it, and look until every decision is kept."""
    root = many_models.make(folder, models=5 if quick else 200, policy=POLICY, promises=False)
    workspace = open_workspace(root)
    for _ in range(2):
        for look in workspace.tick():
            if look.decision is None or look.decision.due:
                msg = f"{look.model} is to be not due: {look.error or look.decision}"
                raise TreadleError(msg)
    return Input(workspace, 2 if quick else 10)


def ours(given: Input) -> float:
    """Tick."""
    begun = time.process_time()
    for _ in range(given.times):
        given.workspace.tick()
    return (time.process_time() - begun) / given.times


def floor(given: Input) -> float:
    """Ask in one transaction which versions answer, what the newest rows, runs and decisions are, and what is open or waits."""
    newest = (t.runs, t.decisions)
    begun = time.process_time()
    for _ in range(given.times):
        with given.workspace.ledger.read() as connection:
            for table in newest:
                connection.execute(select(func.max(table.c.id))).scalar()
            connection.execute(select(t.aliases.c.model, t.aliases.c.version)).all()
            versions = t.dataset_versions.c
            connection.execute(
                select(versions.dataset, func.max(versions.version)).group_by(versions.dataset)
            ).all()
            connection.execute(select(t.requests.c.body).where(t.requests.c.run == "")).all()
            connection.execute(select(t.approvals.c.body).where(t.approvals.c.state == "waiting")).all()
            connection.execute(select(t.alerts.c.body).where(t.alerts.c.open.is_(True))).all()
    return (time.process_time() - begun) / given.times


BENCHMARK = Benchmark(
    title="a watcher's tick over 200 models that are not due",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    limit=0.05,
)
