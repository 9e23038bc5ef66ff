"""Precision against recall, at every bound."""

from __future__ import annotations

from collections.abc import Mapping

from treadle.evaluation.arrays import Floats
from treadle.evaluation.plot import Line, Plot
from treadle.evaluation.plots.roc import rates, thinned
from treadle.evaluation.snapshots import Snapshot

NAME = "precision_recall"
TASK = ("classification", "anomaly")


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
    return thinned(name, found, hits / (hits + misses))
