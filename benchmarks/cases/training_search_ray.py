"""A search of 100 trials on two processors of a Ray, against the same search under Ray Tune."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import treadle as td
from fits import fit, load
from harness import Benchmark, Peer
from searches import arrays, searched, window_of
from treadle.app.worker import job
from treadle.loop.searching import Searching

PARALLEL = 2


@dataclass
class Input:
    """A project whose model is searched for, and the same rows as plain arrays in a file."""

    workspace: td.Workspace
    trials: int
    file: Path

    def close(self) -> None:
        """Leave Ray, and close the stores."""
        self.workspace.close()


def prepare(folder: Path, quick: bool) -> Input:
    """Make the project and take its rows in."""
    trials = 4 if quick else 100
    workspace = searched(folder, trials, rows=3_000 if quick else 12_000, parallel=PARALLEL, engine="ray")
    data, file = arrays(workspace), folder / "data.npz"
    np.savez(file, X=data.train.X, y=data.train.y, vX=data.validation.X, vy=data.validation.y)
    return Input(workspace, trials, file)


def ours(given: Input) -> float:
    """Search, each trial recorded; the best models are packaged. Ray is up already, except for the first time."""
    workspace = given.workspace
    model = workspace.project.model("searched")
    run = workspace.runs.start(
        "searched", reason="benchmark", data={"flights": 1}, window=window_of(workspace)
    )
    began = time.perf_counter()
    Searching(
        model, run, workspace.rooms, jobs=lambda name, place: job(workspace, model, run, place, name)
    ).best()
    took = time.perf_counter() - began
    states = [trial.state for trial in workspace.trials.of_run(run.id)]
    assert states == ["succeeded"] * given.trials
    workspace.runs.fail(run, error="a benchmark")
    return took


def floor(given: Input) -> float:
    """Fit parameters drawn at random in two processes, which read the rows once; nothing is searched or recorded."""
    draw = np.random.default_rng(0)
    drawn = [
        (
            float(np.exp(draw.uniform(np.log(1e-3), np.log(0.3)))),
            int(draw.integers(1, 5)),
            int(draw.integers(10, 31)),
        )
        for _ in range(given.trials)
    ]
    began = time.perf_counter()
    with ProcessPoolExecutor(
        PARALLEL, mp_context=get_context("spawn"), initializer=load, initargs=(str(given.file),)
    ) as pool:
        assert len(list(pool.map(fit, drawn))) == given.trials
    return time.perf_counter() - began


BENCHMARK = Benchmark(
    title="a search of 100 trials on 9,600 rows, two at a time on Ray",
    unit="s",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "Ray Tune": Peer(
            script="ray_tune.py",
            packages=(
                f"ray[tune]=={version('ray')}",
                f"optuna=={version('optuna')}",
                f"scikit-learn=={version('scikit-learn')}",
                f"numpy=={version('numpy')}",
            ),
            arguments=lambda given: [str(given.file), str(given.trials), str(PARALLEL)],
        )
    },
    # Within 1.15 times of the peer's seconds.
    ahead={"Ray Tune": 1 / 1.15},
    rounds=3,
)
