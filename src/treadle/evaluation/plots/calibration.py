"""Reliability: how often that happened which was said to be so likely, with Wilson's interval."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from treadle.evaluation.arrays import Floats
from treadle.evaluation.calibration import reliability
from treadle.evaluation.plot import Line, Plot
from treadle.evaluation.snapshots import Snapshot

NAME = "calibration"
TASK = ("classification", "multiclass", "multilabel")
_BINS = 10


def plot(snapshot: Snapshot, predictions: Mapping[str, Floats]) -> Plot:
    """Return what happened against what was said, of each contender, in bins of about as many rows."""
    return Plot(
        title="Reliability",
        across="said probability",
        up="how often it happened",
        lines=tuple(_line(name, *_pairs(snapshot, p)) for name, p in predictions.items()),
        reference="diagonal",
        shares=True,
        said=_SAID[_kind(snapshot, next(iter(predictions.values())))],
    )


_SAID = {
    "two": "On the diagonal probabilities keep what they say; upright lines are 95 % intervals.",
    "classes": "Of the most probable class. On the diagonal probabilities keep what they say; upright lines are 95 % intervals.",
    "labels": "Of all labels together. On the diagonal probabilities keep what they say; upright lines are 95 % intervals.",
}


def _kind(snapshot: Snapshot, p: Floats) -> str:
    if p.ndim == 1:
        return "two"
    return "classes" if snapshot.y.ndim == 1 else "labels"


def _pairs(snapshot: Snapshot, p: Floats) -> tuple[Floats, Floats]:
    kind = _kind(snapshot, p)
    if kind == "classes":
        return np.asarray(p.argmax(axis=1) == snapshot.y, dtype=np.float64), p.max(axis=1)
    return snapshot.y.ravel().astype(np.float64), p.ravel()


def _line(name: str, y: Floats, p: Floats) -> Line:
    table = reliability(y, np.clip(p, 0.0, 1.0), bins=_BINS, spaced="by rows")
    columns = {"x": "predicted", "y": "happened", "low": "happened_low", "high": "happened_high"}
    return Line(name=name, **{end: tuple(table[column].to_list()) for end, column in columns.items()})
