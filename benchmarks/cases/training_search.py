"""A search of 100 trials, each recorded and able to go on after a kill, against the same fits under bare Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import optuna
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import log_loss

import treadle as td
from harness import Benchmark, cpu_of
from searches import arrays, searched, window_of
from treadle.loop.trying import Worker
from treadle.training.data import TrainingData


@dataclass
class Input:
    """A project whose model is searched for, and the same rows as plain arrays."""

    workspace: td.Workspace
    trials: int
    data: TrainingData

    def close(self) -> None:
        """Close the stores."""
        self.workspace.close()


def prepare(folder: Path, quick: bool) -> Input:
    """Make the project and take its rows in."""
    trials = 10 if quick else 100
    workspace = searched(folder, trials, rows=3_000 if quick else 12_000)
    return Input(workspace, trials, arrays(workspace))


def ours(given: Input) -> float:
    """Search, from the reading of the rows to the last trial's record; the best models are packaged."""
    workspace = given.workspace
    model = workspace.project.model("searched")

    def work() -> None:
        run = workspace.runs.start(
            "searched", reason="benchmark", data={"flights": 1}, window=window_of(workspace)
        )
        Worker(model, run, workspace.rooms, name="0").work()
        trials = workspace.trials.of_run(run.id)
        assert [trial.state for trial in trials] == ["succeeded"] * given.trials
        workspace.runs.fail(run, error="a benchmark")

    return cpu_of(work)


def floor(given: Input) -> float:
    """Let Optuna call the same fits on arrays that are there, with nothing recorded."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    data = given.data

    def objective(trial: optuna.Trial) -> float:
        learner = GradientBoostingClassifier(
            learning_rate=trial.suggest_float("rate", 1e-3, 0.3, log=True),
            max_depth=trial.suggest_int("depth", 1, 4),
            n_estimators=trial.suggest_int("trees", 10, 30),
            random_state=0,
        ).fit(data.train.X, data.train.y)
        return float(log_loss(data.validation.y, learner.predict_proba(data.validation.X)[:, 1]))

    def work() -> None:
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
        study.optimize(objective, n_trials=given.trials)

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="a search of 100 trials on 9,600 rows",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=1.1,
    rounds=3,
)
