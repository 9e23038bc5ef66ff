"""How far a forecast is off at each step ahead."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from treadle.evaluation.arrays import Floats
from treadle.evaluation.plot import Line, Plot
from treadle.evaluation.snapshots import Snapshot

NAME = "ahead"
TASK = "forecast"


def plot(snapshot: Snapshot, predictions: Mapping[str, Floats]) -> Plot | None:
    """Return the mean absolute error of each step, of each contender; None: there is one step only."""
    if snapshot.y.ndim == 1 or snapshot.y.shape[1] < 2:
        return None
    steps = tuple(float(step) for step in range(1, snapshot.y.shape[1] + 1))
    return Plot(
        title="Further ahead",
        across="steps ahead",
        up="mean absolute error",
        lines=tuple(
            Line(name=name, x=steps, y=tuple(np.abs(p - snapshot.y).mean(axis=0).tolist()))
            for name, p in predictions.items()
        ),
        said=f"From {snapshot.names[0]} to {snapshot.names[-1]} ahead, in the target's unit; the lower the better.",
    )
