"""CPU of the status of 200 models with endpoints and SLOs, against reading one row of each from the ledger."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import many_models
from harness import Benchmark
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.records import Run, from_json
from treadle.store.ledger import tables as t


@dataclass
class Input:
    """An open project, and how many times a sample asks."""

    workspace: Workspace
    times: int


def prepare(folder: Path, quick: bool) -> Input:
    """Make the project, and open it."""
    workspace = open_workspace(many_models.make(folder, models=5 if quick else 200))
    workspace.status()
    return Input(workspace, 1 if quick else 5)


def ours(given: Input) -> float:
    """Gather the status."""
    begun = time.process_time()
    for _ in range(given.times):
        given.workspace.status()
    return (time.process_time() - begun) / given.times


def floor(given: Input) -> float:
    """Read the runs, from which a status tells the last one of each model."""
    begun = time.process_time()
    for _ in range(given.times):
        with given.workspace.ledger.read() as connection:
            for body in connection.scalars(t.runs.select().with_only_columns(t.runs.c.body)):
                from_json(body, Run)
    return (time.process_time() - begun) / given.times


BENCHMARK = Benchmark(
    title="status of 200 models with an endpoint and an SLO each",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    limit=0.5,
)
