"""A question of one's own: how an estimator is asked, what the numbers of an answer are called, and what is better."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from treadle.core import plugins
from treadle.core.errors import InvalidDeclaration, closest
from treadle.core.ids import digest_of
from treadle.core.metric import Metric, takes_two
from treadle.core.signature import Field
from treadle.training.answers import checked, checked_columns, not_an_estimator
from treadle.training.code import source
from treadle.training.task import Settled
from treadle.training.tasks.regression import Regression

Ask = Callable[[Any, pl.DataFrame], Any]


@dataclass(frozen=True, init=False)
class Custom(Settled):
    """Ask a question of one's own, and score it by metrics of one's own.

    The target is numbers, or true and false as 1 and 0. An answer is one finite number, or one for each of `columns`.

    `ask` is the method of the estimator that gives the answer, as `decision_function`; a function that the training
    returns is called as it is. Where no method will do, `ask` is a function of the estimator and a frame; what is packaged
    is then that function with the estimator, which only a pickle keeps: `@td.model(allow_pickle=True)`.

    `metrics` are `td.Metric`s and names of plug-ins; the first one decides where a gate names none.

    >>> import treadle as td
    >>> def cost(y, p):
    ...     return abs(y - p) * (1 + 4 * (p < y))
    >>> td.Custom(metrics=[td.Metric(cost, greater_is_better=False), "mae"]).metrics
    ('cost', 'mae')

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    #: The metrics that are reported, by name; the first one decides.
    declared: Mapping[str, Metric | str]
    #: A method of the estimator, or a function of it and a frame.
    ask: str | Ask
    #: What the numbers of an answer are called; empty: it is one number.
    columns: tuple[str, ...]

    def __init__(
        self,
        *,
        metrics: Sequence[Metric | str] = ("rmse", "mae"),
        ask: str | Ask = "predict",
        columns: Sequence[str] = (),
    ) -> None:
        """Check what is declared."""
        _must_be_askable(ask)
        object.__setattr__(self, "declared", _by_name(metrics))
        object.__setattr__(self, "ask", ask)
        object.__setattr__(self, "columns", _names(columns))

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "custom"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return next(iter(self.declared))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return tuple(self.declared)

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The column of an answer: its number, or its numbers by name."""
        method = self.ask if isinstance(self.ask, str) and self.ask != "predict" else ""
        return (Field(name="prediction", kind="float", columns=self.columns, method=method),)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values; of functions, the digest of their source."""
        return {
            "task": self.name,
            "ask": self.ask if isinstance(self.ask, str) else _coded(self.ask),
            "columns": list(self.columns),
            "metrics": [_spec(one) for one in self.declared.values()],
        }

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target as float64 of shape (rows,); true is 1.

        Raises:
            InvalidInput: it is neither numbers nor booleans, or a value is missing, NaN or infinite.
        """
        return Regression().target(target.cast(pl.Int8) if target.dtype == pl.Boolean else target)

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Accept any numbers: what can be learnt is for the training function to know."""

    def packaged(self, estimator: Any) -> Any:
        """Return what answers by itself: the estimator, or with `ask` a function, that function with it."""
        return estimator if isinstance(self.ask, str) else partial(self.ask, estimator)

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the answers: float64 of shape (rows,), or (rows, columns).

        Raises:
            RunFailed: it cannot be asked, or its answer is not such numbers; the message names the first bad row.
        """
        values, source = self._asked(estimator, frame)
        if self.columns:
            return checked_columns(values, rows=frame.height, columns=self.columns, source=source)
        return checked(values, rows=frame.height, source=source)

    def _asked(self, estimator: Any, frame: pl.DataFrame) -> tuple[Any, str]:
        if not isinstance(self.ask, str):
            if estimator is None or isinstance(estimator, type | int | float):
                raise not_an_estimator(estimator, method="a method of its own")
            return self.ask(estimator, frame), f"The function {self.ask.__name__}"
        method = getattr(estimator, self.ask, None)
        if isinstance(estimator, type) or not (callable(method) or callable(estimator)):
            raise not_an_estimator(estimator, method=self.ask)
        if callable(method):
            return method(frame), f"{type(estimator).__name__}.{self.ask}"
        name = getattr(estimator, "__name__", type(estimator).__name__)
        return estimator(frame), f"The function {name}"


def _must_be_askable(ask: object) -> None:
    if isinstance(ask, str) and ask.isidentifier():
        return
    if not inspect.isfunction(ask) or not takes_two(ask):
        msg = f"Custom(ask={ask!r}): expected the name of a method, as 'predict', or a function of an estimator and a frame."
        raise InvalidDeclaration(msg, field="ask")


def _by_name(metrics: Sequence[Metric | str]) -> dict[str, Metric | str]:
    known = plugins.available("metric")
    given = _listed(metrics)
    found: dict[str, Metric | str] = {}
    for one in given:
        if not isinstance(one, Metric | str):
            said = (
                f"td.Metric({one.__name__}, greater_is_better=False)"
                if inspect.isfunction(one)
                else "a td.Metric"
            )
            msg = f"Custom(metrics=...) holds {one!r}. Expected {said}, or the name of a metric."
            raise InvalidDeclaration(msg, field="metrics")
        name = one if isinstance(one, str) else one.name
        if isinstance(one, str) and one not in known:
            msg = f"Custom(metrics=...) names no metric: {one!r}. {closest(one, known)}"
            raise InvalidDeclaration(msg, field="metrics")
        if name in found or (isinstance(one, Metric) and name in known):
            msg = f"Custom(metrics=...): there is another metric named {name!r}. Give this one a name of its own: td.Metric(..., name='my_{name}')."
            raise InvalidDeclaration(msg, field="metrics")
        found[name] = one
    if not found:
        msg = f"Custom(metrics={metrics!r}): expected one metric or more; the first one decides."
        raise InvalidDeclaration(msg, field="metrics")
    return found


def _names(columns: Sequence[str]) -> tuple[str, ...]:
    said: object = columns
    given = _listed(said)
    names = tuple(name for name in given if isinstance(name, str) and name)
    if len(set(names)) < len(given) or not isinstance(said, Sequence) or (said and not given):
        msg = f"Custom(columns={columns!r}): expected different names, as ['low', 'high']."
        raise InvalidDeclaration(msg, field="columns")
    return names


def _listed(given: object) -> tuple[object, ...]:
    """Return what a list holds; what is none, as one text, holds nothing."""
    return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else ()


def _spec(metric: Metric | str) -> Any:
    if isinstance(metric, str):
        return metric
    return {"name": metric.name, "greater_is_better": metric.greater_is_better, **_coded(metric.function)}


def _coded(function: Callable[..., Any]) -> dict[str, str]:
    return {"function": function.__qualname__, "source": digest_of(source(function))}
