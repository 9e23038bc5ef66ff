"""How often the truth lay below each quantile, against the level that was promised, with Wilson's interval."""

from __future__ import annotations

from collections.abc import Mapping

from treadle.evaluation.arrays import Floats
from treadle.evaluation.plot import Line, Plot
from treadle.evaluation.quantiles import wilson
from treadle.evaluation.snapshots import Snapshot

NAME = "levels"
TASK = "quantiles"


def plot(snapshot: Snapshot, predictions: Mapping[str, Floats]) -> Plot:
    """Return the share of rows at or below each quantile, of each contender."""
    levels = tuple(float(name) for name in snapshot.names)
    return Plot(
        title="Levels kept",
        across="promised level",
        up="share of rows below",
        lines=tuple(_line(name, levels, snapshot.y, p) for name, p in predictions.items()),
        reference="diagonal",
        shares=True,
        said="On the diagonal each quantile has as many rows below it as it promises; upright lines are 95 % intervals.",
    )


def _line(name: str, levels: tuple[float, ...], y: Floats, p: Floats) -> Line:
    below = [float((y <= p[:, place]).sum()) for place in range(len(levels))]
    ends = [wilson(hits, len(y), alpha=0.05) for hits in below]
    return Line(
        name=name,
        x=levels,
        y=tuple(hits / len(y) for hits in below),
        low=tuple(low for low, _ in ends),
        high=tuple(high for _, high in ends),
    )
