"""The baseline `LastValue`: it stays as it is, or as it was a season ago."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.core.records import Lookup
from treadle.core.signature import Field


@dataclass(frozen=True)
class LastValue:
    """Predict the value that a column has now (persistence): for `td.Forecast()` and `td.Regression()`.

    With `season`, a number of steps, a step of a forecast is what the column was the last whole season before it (seasonal
    naive): with 24 steps of an hour, tomorrow at nine is today at nine. The loop adds what that needs to the rows of a
    forecast; where a value is missing, the mean of training takes its place.

    >>> frame = pl.DataFrame({"temp": [50.0, 60.0], "later": [52.0, 64.0]})
    >>> LastValue("temp").fit(frame, "later").predict({"temp": [55.0, None]}, 2)
    [55.0, 58.0]

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    column: str
    season: int | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.column
        if not isinstance(given, str) or not given:
            msg = f"LastValue({self.column!r}): expected the name of a column."
            raise InvalidDeclaration(msg, field="column")
        season: object = self.season
        if season is not None and (type(season) is not int or season < 1):
            msg = f"LastValue(season={season!r}): expected a number of steps, as 24."
            raise InvalidDeclaration(msg, field="season")

    @property
    def name(self) -> str:
        """What tells it from other baselines, as `last_value_of_temp` or `last_value_of_temp_24_ago`."""
        return f"last_value_of_{self.column}" + (f"_{self.season}_ago" if self.season else "")

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"baseline": "last_value", "column": self.column, "season": self.season}

    def lags(self, steps: int) -> list[int]:
        """Return, for each of so many steps ahead, how many steps ago the value that is predicted was; 0: it is the newest."""
        if self.season is None:
            return [0] * steps
        return [-step % self.season for step in range(1, steps + 1)]

    def fit(self, frame: pl.DataFrame, target: str | pl.Series, *, output: Field | None = None) -> Lookup:
        """Fit to training rows, of which only the mean is learnt.

        Raises:
            InvalidInput: a column is missing or holds no numbers, there are no rows, or classes are asked for.
        """
        columns = output.columns if output is not None else ()
        if output is not None and (output.name.startswith("probabilit") or output.rising):
            msg = f"LastValue answers with numbers that a column has; {output.name} are asked for. It is for td.Forecast() and td.Regression()."
            raise InvalidInput(msg, field="baselines")
        if self.season is not None and not columns:
            msg = f"LastValue(season={self.season}) is for td.Forecast(); leave `season` out."
            raise InvalidInput(msg, field="baselines")
        ago = self.lags(max(1, len(columns)))
        copied = tuple(f"{self.column}_lag_{lag}" if lag else self.column for lag in ago)
        for name in copied:
            _must_be_numbers(frame, name)
        held = self._means(frame, target)
        if held.size != len(ago):
            msg = f"The target has {held.size} numbers a row. Expected {len(ago)}, one for each column of an answer."
            raise InvalidInput(msg, field="target")
        default = held.tolist() if columns else [float(held[0])]
        return Lookup(
            name=self.name,
            by=tuple(dict.fromkeys(copied)),
            copied=copied,
            default=tuple(default) if columns else default[0],
            columns=columns,
        )

    def _means(self, frame: pl.DataFrame, target: str | pl.Series) -> np.ndarray:
        if isinstance(target, str) and target not in frame.columns:
            msg = f"There is no column {target!r} to fit a baseline to. {closest(target, frame.columns)}"
            raise InvalidInput(msg, field=target)
        series = frame[target] if isinstance(target, str) else target
        plain = isinstance(series.dtype, pl.Array) or series.dtype.is_numeric() or series.dtype == pl.Boolean
        values = series.to_numpy().astype(np.float64) if plain and not series.null_count() else np.empty(0)
        if not values.size or len(values) != frame.height or not np.isfinite(values).all():
            msg = f"A baseline was to be fitted to {frame.height:,} rows. Expected a row, and a finite target for each."
            raise InvalidInput(msg, field=series.name)
        return np.atleast_1d(values.mean(axis=0))


def _must_be_numbers(frame: pl.DataFrame, name: str) -> None:
    if name not in frame.columns:
        msg = f"LastValue needs the column {name!r}. {closest(name, frame.columns)}"
        raise InvalidInput(msg, field=name)
    if not frame.schema[name].is_numeric():
        msg = f"LastValue predicts the value of {name!r}, which is {frame.schema[name]}. Expected numbers."
        raise InvalidInput(msg, field=name)
