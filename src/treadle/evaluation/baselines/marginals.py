"""The baseline `Marginals`: a density in which each input is normally distributed by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.core.records import Lookup
from treadle.core.signature import Field
from treadle.evaluation.lookups import must_be_one_number


@dataclass(frozen=True)
class Marginals:
    """Predict the log density of independent normal inputs, with the mean and standard deviation of training.

    It is for `td.Density`: what a model must know more than how each input is spread. A missing value adds nothing.

    >>> found = Marginals().fit(pl.DataFrame({"x": [-1.0, 1.0]}), pl.Series([0.0, 0.0]))
    >>> round(found.predict({"x": [0.0]}, 1)[0], 4)
    -0.9189
    """

    #: It is fitted to the inputs as the model gets them.
    of_inputs: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What tells it from other baselines."""
        return "marginals"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"baseline": "marginals"}

    def fit(
        self,
        frame: pl.DataFrame,
        target: str | pl.Series,
        *,
        output: Field | None = None,
    ) -> Lookup:
        """Fit to the inputs of training rows; a target that is a column among them is left out.

        Raises:
            InvalidInput: there are no rows, an input holds no numbers or always the same, or several numbers are asked for.
        """
        must_be_one_number(output, where="Marginals", instead="It is for td.Density().")
        left_out = target if isinstance(target, str) else ""
        names = [name for name in frame.columns if name != left_out]
        return Lookup(
            name=self.name,
            by=tuple(names),
            default=0.0,
            normal={name: _spread(frame[name]) for name in names},
        )


def _spread(values: pl.Series) -> tuple[float, float]:
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        msg = f"The input {values.name!r} is {values.dtype}, which has no density. Expected numbers: name the inputs, inputs=[...]."
        raise InvalidInput(msg, field=values.name)
    held = values.cast(pl.Float64).drop_nulls().to_numpy()
    held = held[np.isfinite(held)]
    if len(held) < 2 or held.std() == 0:
        msg = f"The input {values.name!r} has fewer than two different values in training, so it has no density."
        raise InvalidInput(msg, field=values.name)
    return float(held.mean()), float(held.std())
