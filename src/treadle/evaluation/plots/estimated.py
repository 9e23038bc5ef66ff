"""What happened against what was estimated: the means of rows whose estimates are alike, with the interval of the mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from treadle.evaluation.arrays import Floats
from treadle.evaluation.plot import Line, Plot
from treadle.evaluation.snapshots import Snapshot

NAME = "estimated"
TASK = "regression"
_BINS, _Z = 20, 1.959964


def plot(snapshot: Snapshot, predictions: Mapping[str, Floats]) -> Plot:
    """Return the mean outcome against the mean estimate, in at most 20 bins of as many rows of each contender."""
    return Plot(
        title="What came of estimates",
        across="estimated",
        up="came, on average",
        lines=tuple(_line(name, snapshot.y, p) for name, p in predictions.items()),
        reference="diagonal",
        said="On the diagonal estimates are right on average; upright lines are 95 % intervals of the mean.",
    )


def _line(name: str, y: Floats, p: Floats) -> Line:
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(_BINS, len(np.unique(p))))
    mean = np.array([y[part].mean() for part in parts])
    reach = np.array(
        [_Z * y[part].std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else 0.0 for part in parts]
    )
    x = np.array([p[part].mean() for part in parts])
    return Line(
        name=name,
        x=tuple(x.tolist()),
        y=tuple(mean.tolist()),
        low=tuple((mean - reach).tolist()),
        high=tuple((mean + reach).tolist()),
    )
