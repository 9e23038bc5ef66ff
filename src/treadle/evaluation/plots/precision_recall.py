"""Precision against recall, at every bound."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from treadle.evaluation.arrays import Floats
from treadle.evaluation.plot import Line, Plot
from treadle.evaluation.plots.roc import rates
from treadle.evaluation.snapshots import Snapshot

NAME = "precision_recall"
TASK = ("classification", "anomaly")
#: Points of a line at most.
_MOST = 200


def plot(snapshot: Snapshot, predictions: Mapping[str, Floats]) -> Plot | None:
    """Return the share of ones among those above each bound against the share of ones found; None: there are not both."""
    if not 0 < snapshot.y.sum() < len(snapshot):
        return None
    return Plot(
        title="Precision and recall",
        across="recall, share found",
        up="precision",
        lines=tuple(_line(name, snapshot.y, p) for name, p in predictions.items()),
        shares=True,
        said=f"At every bound. Guessing is right in {100 * float(snapshot.y.mean()):.3g} % of the flagged.",
    )


def _line(name: str, y: Floats, p: Floats) -> Line:
    found, false = (rate[1:] for rate in rates(y, p))
    hits, misses = found * y.sum(), false * (len(y) - y.sum())
    precision = hits / (hits + misses)
    taken = np.unique(np.linspace(0, len(found) - 1, _MOST).round().astype(int))
    return Line(name=name, x=tuple(found[taken].tolist()), y=tuple(precision[taken].tolist()))
