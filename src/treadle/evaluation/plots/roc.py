"""The receiver operating characteristic: the share found against the share of false alarms, at every bound."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from treadle.evaluation.arrays import Floats
from treadle.evaluation.plot import Line, Plot
from treadle.evaluation.snapshots import Snapshot

NAME = "roc"
TASK = ("classification", "anomaly")
#: Points of a line at most.
_MOST = 200


def plot(snapshot: Snapshot, predictions: Mapping[str, Floats]) -> Plot | None:
    """Return the share of ones above each bound against the share of zeros above it; None: there are not both."""
    if not 0 < snapshot.y.sum() < len(snapshot):
        return None
    return Plot(
        title="ROC",
        across="false alarms, share of the others",
        up="recall, share found",
        lines=tuple(_line(name, snapshot.y, p) for name, p in predictions.items()),
        reference="diagonal",
        shares=True,
        said="Receiver operating characteristic, at every bound. The diagonal is guessing.",
    )


def _line(name: str, y: Floats, p: Floats) -> Line:
    found, false = rates(y, p)
    return thinned(name, false, found)


def thinned(name: str, x: Floats, y: Floats) -> Line:
    """Return a line through at most 200 of its points, the first and the last among them."""
    taken = np.unique(np.linspace(0, len(x) - 1, _MOST).round().astype(int))
    return Line(name=name, x=tuple(x[taken].tolist()), y=tuple(y[taken].tolist()))


def rates(y: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Return the share of ones, and of zeros, at or above each value of `p`, the greatest first; both begin at 0.

    >>> found, false = rates(np.array([0.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.9]))
    >>> found.tolist(), false.tolist()
    ([0.0, 0.5, 1.0], [0.0, 0.0, 1.0])
    """
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)
    hits = np.cumsum(y[order])[ends]
    misses = ends + 1 - hits
    return np.append(0.0, hits / y.sum()), np.append(0.0, misses / (len(y) - y.sum()))
