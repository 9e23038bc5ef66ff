"""A search for good hyper-parameters, as it is declared: the space, how trials are drawn, and when it ends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration, closest
from treadle.core.records import Window
from treadle.training.spaces import Categorical, Dimension, Float, Int

#: The name under which the window is drawn beside the hyper-parameters.
WINDOW = "window"
#: Samplers and pruners by the names that Optuna's classes have: `TPESampler` is `tpe`.
SAMPLERS = {
    "cma_es": "CmaEsSampler",
    "gp": "GPSampler",
    "grid": "GridSampler",
    "nsga2": "NSGAIISampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
    "tpe": "TPESampler",
}
PRUNERS = {
    "hyperband": "HyperbandPruner",
    "median": "MedianPruner",
    "none": "NopPruner",
    "percentile": "PercentilePruner",
    "successive_halving": "SuccessiveHalvingPruner",
    "threshold": "ThresholdPruner",
    "wilcoxon": "WilcoxonPruner",
}


class Stretch(Protocol):
    """Says which stretch of event time a trial is trained on, as `td.Last("7d")`."""

    def at(self, end: datetime) -> Window:
        """Return the window that ends at a moment."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        ...


@dataclass(frozen=True, kw_only=True)
class Search:
    """Train one model for many sets of hyper-parameters, and go on with the best.

    A trial is scored on the validation rows, which are the same for all; test rows are left to the gates. `suggest`
    takes the place of `space` where one choice depends on another: it gets Optuna's trial and returns the parameters.
    `windows` are tried as one dimension more. The search ends when the first of its budgets is spent: `trials`, the
    `time` for which `parallel` workers have worked, and the `cost` of that at the price that the resources name.

    >>> Search(space={"depth": Int(1, 8), "rate": Float(1e-3, 1, log=True)}, trials=50, parallel=2).sampler
    'tpe'
    """

    space: Mapping[str, Dimension] = field(default_factory=dict)
    suggest: Callable[[Any], dict[str, Any]] | None = None
    windows: Sequence[Stretch] = ()
    #: The most trials; None: as many as the other budgets allow.
    trials: int | None = None
    time: str = ""
    cost: float | None = None
    #: Workers that try at once, each in a process of its own.
    parallel: int = 1
    #: The metric to be best at on the validation rows; empty: the one that decides for the task.
    metric: str = ""
    sampler: str = "tpe"
    #: Arguments of Optuna's sampler, as `{"n_startup_trials": 20}`.
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    #: What ends hopeless trials early, on what they report with `run.report(value, step)`.
    pruner: str = "none"
    #: Arguments of Optuna's pruner.
    pruner_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what was declared."""
        _check_space(self)
        for kind, given, known in (("sampler", self.sampler, SAMPLERS), ("pruner", self.pruner, PRUNERS)):
            if given not in known:
                msg = f"No {kind} named {given!r}. {closest(str(given), known)}"
                raise InvalidDeclaration(msg, field=kind)
        if self.sampler == "grid" and self.size is None:
            msg = "The sampler 'grid' needs a space of choices and stepped ranges: give each td.Float a step, and no suggest."
            raise InvalidDeclaration(msg, field="sampler")
        _check_budget(self)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each window is called among the parameters."""
        return tuple(label_of(window) for window in self.windows)

    @property
    def most(self) -> int | None:
        """The most trials: those declared, or as many as a grid has points."""
        grid = self.size if self.sampler == "grid" else None
        return min((n for n in (self.trials, grid) if n is not None), default=None)

    @property
    def size(self) -> int | None:
        """How many points the space has; None: it is continuous, or decided by `suggest`."""
        if self.suggest is not None:
            return None
        size = len(self.windows) or 1
        for dimension in self.space.values():
            values = points(dimension)
            if values is None:
                return None
            size *= len(values)
        return size

    def spec(self) -> dict[str, Any]:
        """Return what decides which trial is the best, as plain values."""
        return {
            "space": {name: dimension.spec() for name, dimension in self.space.items()},
            "suggest": self.suggest.__qualname__ if self.suggest is not None else None,
            "windows": [window.spec() for window in self.windows],
            "budget": [self.trials, self.time, self.cost],
            "metric": self.metric,
            "sampler": [self.sampler, dict(self.sampler_options)],
            "pruner": [self.pruner, dict(self.pruner_options)],
        }


def points(dimension: Dimension) -> list[Any] | None:
    """Return all values that a dimension may have; None: it is continuous.

    >>> points(Int(1, 7, step=3)), points(Float(0, 1, step=0.5)), points(Float(0, 1))
    ([1, 4, 7], [0.0, 0.5, 1.0], None)
    """
    if isinstance(dimension, Categorical):
        return list(dimension.choices)
    if isinstance(dimension, Int):
        return list(range(dimension.low, dimension.high + 1, dimension.step))
    if dimension.step is None:
        return None
    count = int((dimension.high - dimension.low) / dimension.step + 1e-9) + 1
    return [float(dimension.low + number * dimension.step) for number in range(count)]


def label_of(window: Stretch) -> str:
    """Return what a window is called: `last 7d`, `expanding`."""
    return " ".join(str(value) for value in window.spec().values() if value is not None and value != "")


def _check_space(search: Search) -> None:
    if bool(search.space) == (search.suggest is not None) and not (search.windows and not search.space):
        given = "both" if search.space else "neither"
        msg = f"td.Search got {given} of space and suggest. Expected one of them, or windows."
        raise InvalidDeclaration(msg, field="space")
    for name, dimension in search.space.items():
        given_dimension: object = dimension
        if not isinstance(given_dimension, Float | Int | Categorical):
            msg = f"td.Search: {name!r} is {dimension!r}. Expected td.Float, td.Int or td.Categorical."
            raise InvalidDeclaration(msg, field=f"space.{name}")
    if WINDOW in search.space and search.windows:
        msg = f"td.Search: {WINDOW!r} is the name of the dimension that windows= makes. Call yours otherwise."
        raise InvalidDeclaration(msg, field="space")
    if search.suggest is not None and len(inspect.signature(search.suggest).parameters) != 1:
        msg = "td.Search: suggest takes one argument, Optuna's trial, and returns the parameters."
        raise InvalidDeclaration(msg, field="suggest")
    for window in search.windows:
        if not hasattr(window, "at"):
            msg = f"td.Search: windows holds {window!r}. Expected for example td.Last('7d')."
            raise InvalidDeclaration(msg, field="windows")
    if len(set(search.labels)) < len(search.windows):
        msg = f"td.Search: a window is named twice among {', '.join(search.labels)}."
        raise InvalidDeclaration(msg, field="windows")


def _check_budget(search: Search) -> None:
    if search.most is None and not search.time and search.cost is None:
        msg = "td.Search has no end. Expected trials=50, time='2h' or cost=10.0."
        raise InvalidDeclaration(msg, field="trials")
    if search.time:
        parse_span(search.time)
    for name, least in (("trials", 1), ("parallel", 1), ("cost", 0)):
        given = getattr(search, name)
        if given is not None and not given >= least:
            msg = f"td.Search: {name} is {given!r}. Expected {least} or more."
            raise InvalidDeclaration(msg, field=name)
