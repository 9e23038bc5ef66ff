"""The baseline `Quantiles`: the quantiles of the target in training, for each value of some columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.records import Lookup
from treadle.core.signature import Field
from treadle.evaluation.lookups import By, check_smoothing, columns_of, grouped, key_of, named, numbers_of


@dataclass(frozen=True)
class Quantiles:
    """Predict the quantiles of training, of all rows or `by` the values of columns.

    The quantiles for a value are drawn towards those of all rows as if by `smoothing` rows more. Asked for one number,
    it is the median.

    >>> frame = pl.DataFrame({"minutes": [1.0, 2.0, 3.0, 4.0, 5.0]})
    >>> Quantiles().fit(frame, "minutes").default
    3.0

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    by: By = None
    smoothing: float = 10.0

    def __post_init__(self) -> None:
        """Check what was declared."""
        columns_of(self.by, where="Quantiles")
        check_smoothing(self.smoothing, where="Quantiles")

    @property
    def name(self) -> str:
        """What tells it from other baselines, as `quantiles_by_carrier`."""
        return named("quantiles", columns_of(self.by, where="Quantiles"))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        by = list(columns_of(self.by, where="Quantiles"))
        return {"baseline": "quantiles", "by": by, "smoothing": float(self.smoothing)}

    def fit(self, frame: pl.DataFrame, target: str | pl.Series, *, output: Field | None = None) -> Lookup:
        """Fit to training rows; `target` is a column, or a number for each row. Levels are the output's columns.

        Raises:
            InvalidInput: a column is missing, there are no rows, a target is no finite number, or no levels are asked for.
        """
        y, by = numbers_of(frame, target), columns_of(self.by, where="Quantiles")
        columns = output.columns if output is not None else ()
        levels = _levels(columns, output)
        whole = np.quantile(y.to_numpy(), levels)
        found = Lookup(name=self.name, default=_told(whole, columns), columns=columns)
        if not by:
            return found
        values = {
            key_of(key): _told(
                (len(held) * np.quantile(held, levels) + self.smoothing * whole)
                / (len(held) + self.smoothing),
                columns,
            )
            for *key, held in grouped(frame, y, name=self.name, by=by).agg("y").iter_rows()
        }
        return msgspec.structs.replace(found, by=by, values=values)


def _levels(columns: tuple[str, ...], output: Field | None) -> list[float]:
    if not columns:
        return [0.5]
    try:
        return [float(column) for column in columns]
    except ValueError as error:
        said = output.name if output is not None else "the output"
        msg = f"Quantiles answers with quantiles; {said} are {', '.join(columns[:5])}. It is for td.Quantiles()."
        raise InvalidInput(msg, field="baselines") from error


def _told(values: np.ndarray, columns: tuple[str, ...]) -> float | tuple[float, ...]:
    return tuple(values.tolist()) if columns else float(values[0])
