"""Logging 1,000 metric values one by one, against appending lines to a file, and MLflow on SQLite."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness import Benchmark, Peer, cpu_of
from treadle.training.context import RunContext


@dataclass
class Input:
    """Where to write, and how many values a sample logs."""

    folder: Path
    values: int
    rounds: int = 0


def prepare(folder: Path, quick: bool) -> Input:
    """Say how many."""
    return Input(folder, 100 if quick else 1000)


def ours(given: Input) -> float:
    """Log each value of a run."""
    given.rounds += 1
    run = RunContext.detached(folder=given.folder / f"run{given.rounds}")

    def work() -> None:
        for step in range(given.values):
            run.log_metric("loss", 1 / (step + 1), step)

    return cpu_of(work)


def floor(given: Input) -> float:
    """Append a line for each value to a file that is opened each time."""
    path = given.folder / "floor.jsonl"
    path.unlink(missing_ok=True)

    def work() -> None:
        for step in range(given.values):
            with path.open("a") as file:
                file.write(json.dumps({"name": "loss", "value": 1 / (step + 1), "step": step}) + "\n")

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="1,000 metric values logged one by one, each in its file when the call returns",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "MLflow on SQLite": Peer(
            script="mlflow_metrics.py",
            packages=("mlflow==3.*",),
            arguments=lambda given: [str(given.folder), str(given.values)],
        )
    },
    ahead={"MLflow on SQLite": 20},
)
