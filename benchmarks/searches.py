"""A project whose model is searched for, and its rows as plain arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

import project
import treadle as td
from treadle.core.records import Window
from treadle.loop.frames import Frames
from treadle.training.data import TrainingData

COLUMNS = ["distance", "hour", "temp", "wind"]


def searched(
    folder: Path, trials: int, *, rows: int, parallel: int = 1, engine: str = "inline"
) -> td.Workspace:
    """Make a project whose model is searched for, and take its rows in."""
    project.write(folder, rows=rows)
    file = folder / "project.py"
    model = _MODEL.replace("TRIALS", str(trials)).replace("PARALLEL", str(parallel))
    file.write_text(file.read_text() + model)
    workspace = td.open(folder, overrides={"compute.engine": engine})
    workspace.ingest()
    return workspace


_MODEL = """

@td.model(
    data=flights,
    target="late",
    inputs=["distance", "hour", "temp", "wind"],
    task=td.Classification(),
    search=td.Search(
        space={"rate": td.Float(1e-3, 0.3, log=True), "depth": td.Int(1, 4), "trees": td.Int(10, 30)},
        trials=TRIALS,
        parallel=PARALLEL,
    ),
)
def searched(data, params, run):
    from sklearn.ensemble import GradientBoostingClassifier

    learner = GradientBoostingClassifier(
        learning_rate=params["rate"], max_depth=params["depth"], n_estimators=params["trees"], random_state=0
    )
    return learner.fit(data.train.X, data.train.y)
"""


def window_of(workspace: td.Workspace) -> Window:
    """Return the stretch of time in which all rows are."""
    end = Frames(workspace.datasets).known(workspace.project.model("searched"), 1).until
    assert end is not None
    return Window(start=None, end=end)


def arrays(workspace: td.Workspace) -> TrainingData:
    """Return the rows as a training function gets them."""
    model, window = workspace.project.model("searched"), window_of(workspace)
    rows = Frames(workspace.datasets).rows(model, versions={"flights": 1}, window=window)
    kept = rows.filter(pl.col("_split").is_in(["train", "validation"]))
    data = TrainingData.build(kept, inputs=COLUMNS, target="late", task=model.task, window=window, time="at")
    assert np.isfinite(data.train.y).all()
    return data
