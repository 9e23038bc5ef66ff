"""Forecasting: what will a series be, at each of the next steps? Answers are one number for each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.signature import Field
from treadle.training.answers import answers_of, checked_columns
from treadle.training.task import Settled
from treadle.training.tasks.regression import Regression

#: The most steps; a forecast further ahead is asked in longer steps.
MOST = 1000


@dataclass(frozen=True, kw_only=True)
class Forecast(Settled):
    """Forecast the target of a series for the next `horizon` steps of length `every`, all at once.

    Each row of the dataset is an origin: the truth is what the target of the same series is one step later, two, and so
    on, taken from the dataset's own rows, so there is no outcome to declare. `series` names the column, or columns, that
    tell series apart; none: there is one. The present value of the target is an input unless a model names others, and
    `lags` adds that of some steps ago in any case, as `temp_lag_24`. After `season` steps a series is about as it was:
    `mase` is in units of the error of saying so, over the whole series.

    >>> task = Forecast(series="station", horizon=3, every="1h", lags=[24], season=24)
    >>> task.outputs[-1].columns, task.span
    (('1h', '2h', '3h'), datetime.timedelta(seconds=10800))
    """

    series: str | Sequence[str] = ()
    horizon: int = 1
    every: str = "1h"
    lags: Sequence[int] = ()
    season: int = 1

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = (self.series,) if isinstance(self.series, str) else self.series
        names = (
            [name for name in given if isinstance(name, str) and name] if isinstance(given, Sequence) else []
        )
        if not isinstance(given, Sequence) or len(set(names)) < len(given):
            msg = f"Forecast(series={self.series!r}): expected a column, or a list of different ones."
            raise InvalidDeclaration(msg, field="series")
        object.__setattr__(self, "series", tuple(names))
        for name in ("horizon", "season"):
            steps: object = getattr(self, name)
            if type(steps) is not int or not 1 <= steps <= MOST:
                msg = f"Forecast({name}={steps!r}): expected a number of steps, 1 to {MOST:,}."
                raise InvalidDeclaration(msg, field=name)
        lags: object = self.lags
        whole = [lag for lag in lags if type(lag) is int and lag >= 1] if isinstance(lags, Sequence) else []
        if not isinstance(lags, Sequence) or len(set(whole)) < len(lags):
            msg = f"Forecast(lags={lags!r}): expected different numbers of steps ago, as [1, 24]."
            raise InvalidDeclaration(msg, field="lags")
        object.__setattr__(self, "lags", tuple(self.lags))
        try:
            step = parse_span(self.every)
        except (InvalidInput, AttributeError, TypeError) as error:
            msg = f"Forecast(every={self.every!r}): expected a span such as '1h'."
            raise InvalidDeclaration(msg, field="every") from error
        if step <= timedelta(0):
            msg = f"Forecast(every={self.every!r}): expected longer than nothing, as '1h'."
            raise InvalidDeclaration(msg, field="every")

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "forecast"

    @property
    def metric(self) -> str:
        """The metric that decides when a gate names none."""
        return "mae"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are reported."""
        return ("mae", "rmse", "smape", "mase")

    @property
    def outputs(self) -> tuple[Field, ...]:
        """The columns of an answer: the next step, and all steps by how far ahead they are, as `1h`."""
        columns = tuple(_named(self.step * step) for step in range(1, self.horizon + 1))
        return (
            Field(name="prediction", kind="float", column=columns[0]),
            Field(name="forecast", kind="float", columns=columns),
        )

    @property
    def step(self) -> timedelta:
        """The length of a step."""
        return parse_span(self.every)

    @property
    def span(self) -> timedelta:
        """How far ahead the last step is."""
        return self.step * self.horizon

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "task": self.name,
            "series": list(self.series),
            "horizon": self.horizon,
            "every": self.every,
            "lags": list(self.lags),
            "season": self.season,
        }

    def target(self, target: pl.Series) -> np.ndarray:
        """Return a target, numbers in a list or an array for each row, as float64 of shape (rows, steps).

        Raises:
            InvalidInput: there is not a finite number for each step.
        """
        if not isinstance(target.dtype, pl.List | pl.Array) or not target.dtype.inner.is_numeric():
            msg = f"The target {target.name!r} is {target.dtype}. Expected {self.horizon} numbers for each row, one for each step."
            raise InvalidInput(msg, field=target.name)
        values = target.cast(pl.List(pl.Float64))
        wrong = (values.list.len() != self.horizon).fill_null(value=True)
        if not wrong.any():
            whole = values.list.eval(pl.element().is_finite().fill_null(value=False)).list.all()
            wrong = ~whole
        if wrong.any():
            row = int(wrong.arg_true()[0])
            msg = f"The target {target.name!r} is {_shown(values[row])} in row {row}. Expected {self.horizon} finite numbers, never missing."
            raise InvalidInput(msg, field=target.name)
        return values.explode(empty_as_null=False).to_numpy().reshape(len(target), self.horizon)

    def check_learnable(self, y: np.ndarray, *, target: str) -> None:
        """Accept any numbers: also a constant can be learnt."""

    def predictions(self, estimator: Any, frame: pl.DataFrame) -> np.ndarray:
        """Return the forecasts: float64 of shape (rows, steps).

        Asks `predict` of one estimator of all steps or of one for each, or calls a plain function.

        Raises:
            RunFailed: it cannot be asked, there is not one for each step, or an answer is no number.
        """
        if isinstance(estimator, list | tuple):
            if len(estimator) != self.horizon:
                msg = f"The training function returned {len(estimator)} estimators for {self.horizon} steps. Expected one for each, the next step first."
                raise RunFailed(msg)
            return np.column_stack([Regression().predictions(one, frame) for one in estimator])
        values, source = answers_of(
            estimator, frame, method="predict", hint="Or a list with one for each step."
        )
        if self.horizon == 1 and np.ndim(values) == 1:
            values = np.asarray(values)[:, None]
        columns = self.outputs[-1].columns
        return checked_columns(values, rows=frame.height, columns=columns, source=source)


def _named(span: timedelta) -> str:
    """Return a length of time in all its units, so that no two have one name.

    >>> _named(timedelta(days=1, minutes=90))
    '1d1h30m'
    """
    rest, parts = int(span.total_seconds()), []
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, seconds)
        parts.append(f"{count}{unit}" if count else "")
    return "".join(parts)


def _shown(values: pl.Series | None) -> str:
    return "missing" if values is None else str(values.to_list()[:5])
