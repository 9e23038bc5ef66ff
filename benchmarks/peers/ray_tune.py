"""Search with Ray Tune and Optuna: `ray_tune.py DATA.npz TRIALS PARALLEL` prints the seconds from Ray's being up to the end."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time

import numpy as np
import optuna
import ray
from ray import tune
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch


def fit(params: dict, *, data: dict) -> dict:
    """Fit one set of parameters."""
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.metrics import log_loss

    learner = GradientBoostingClassifier(
        learning_rate=params["rate"],
        max_depth=params["depth"],
        n_estimators=params["trees"],
        random_state=0,
    ).fit(data["X"], data["y"])
    return {"loss": float(log_loss(data["vy"], learner.predict_proba(data["vX"])[:, 1]))}


class Fit(tune.Trainable):
    """A trial as a class, so that its process can be used again for the next one, which is Tune's quickest way."""

    def setup(self, config: dict, data: dict) -> None:
        """Keep the parameters."""
        self.config, self.data = config, data

    def step(self) -> dict:
        """Fit once."""
        return {**fit(self.config, data=self.data), "done": True}

    def reset_config(self, config: dict) -> bool:
        """Take other parameters."""
        self.config = config
        return True

    def save_checkpoint(self, folder: str) -> None:
        """Keep nothing."""

    def load_checkpoint(self, folder: str) -> None:
        """Load nothing."""


def main(file: str, trials: int, parallel: int) -> None:
    """Search, and print how long it took."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ray.init(
        address="local",
        num_cpus=parallel,
        include_dashboard=False,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    data = dict(np.load(file))
    space = {"rate": tune.loguniform(1e-3, 0.3), "depth": tune.randint(1, 5), "trees": tune.randint(10, 31)}
    search = OptunaSearch(metric="loss", mode="min", sampler=optuna.samplers.TPESampler(seed=0))
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_parameters(Fit, data=data),
            param_space=space,
            tune_config=tune.TuneConfig(
                num_samples=trials,
                search_alg=ConcurrencyLimiter(search, max_concurrent=parallel),
                reuse_actors=True,
                metric="loss",
                mode="min",
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        began = time.perf_counter()
        found = tuner.fit()
        took = time.perf_counter() - began
    assert len(found) == trials
    assert not found.num_errors
    print(json.dumps(took))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
