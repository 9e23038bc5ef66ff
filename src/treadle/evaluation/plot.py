"""A plot: a few lines with the words beside them, as numbers; whoever shows it draws it."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Literal

import numpy as np

from treadle.core import plugins
from treadle.core.records import Record
from treadle.evaluation.snapshots import Snapshot


class Line(Record, frozen=True, kw_only=True):
    """Points of one contender, from left to right."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    #: Ends of the 95 % interval of each `y`; empty: there is none.
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


class Plot(Record, frozen=True, kw_only=True):
    """What is seen, and how it is read."""

    title: str
    #: What goes to the right, and what goes up.
    across: str
    up: str
    lines: tuple[Line, ...]
    #: What a perfect answer would be (`diagonal`), or one that knows nothing; none: neither can be drawn.
    reference: Literal["", "diagonal"] = ""
    #: Whether all values are shares, so that both ways go from 0 to 1.
    shares: bool = False
    #: How it is read, as a sentence.
    said: str = ""


def plots(snapshot: Snapshot, predictions: Mapping[str, np.ndarray], *, task: str) -> tuple[Plot, ...]:
    """Return the plots that there are for a task, of contenders on the rows of a snapshot; what shows nothing is left out.

    A plug-in is a module with `NAME`, `TASK` (the name of a task, or several) and `plot(snapshot, predictions)`.

    >>> snapshot = Snapshot(dataset="flights", version=1, rows="", y=np.array([0, 1] * 20))
    >>> [one.title for one in plots(snapshot, {"candidate": np.linspace(0, 1, 40)}, task="classification")]
    ['Reliability', 'Precision and recall', 'ROC']
    """
    checked = snapshot.checked(predictions)
    made = [module.plot(snapshot, checked) for module in _of(task)] if len(snapshot) else []
    return tuple(plot for plot in made if plot is not None and plot.lines)


def _of(task: str) -> list[ModuleType]:
    found = [plugins.load("plot", name) for name in plugins.available("plot")]
    return [
        module
        for module in found
        if task in ((module.TASK,) if isinstance(module.TASK, str) else module.TASK)
    ]
