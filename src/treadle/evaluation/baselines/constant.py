"""The baseline `Constant`: the same answer for everybody, as a rule that is in use today."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from treadle.core.errors import InvalidDeclaration
from treadle.core.records import Lookup
from treadle.core.signature import Field
from treadle.evaluation.lookups import must_be_one_number


@dataclass(frozen=True)
class Constant:
    """Predict one value, whatever the row: a probability for classification, else a number.

    >>> Constant(0.25).name
    'constant_0.25'

    Raises:
        InvalidDeclaration: the value is no finite number.
    """

    value: float

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.value
        if not isinstance(given, int | float) or not math.isfinite(given):
            msg = f"Constant({self.value!r}): expected a finite number."
            raise InvalidDeclaration(msg, field="value")

    @property
    def name(self) -> str:
        """What tells it from other baselines."""
        return f"constant_{self.value:g}"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"baseline": "constant", "value": float(self.value)}

    def fit(
        self,
        frame: pl.DataFrame,  # noqa: ARG002 - there is nothing to learn
        target: str | pl.Series,  # noqa: ARG002
        *,
        output: Field | None = None,
    ) -> Lookup:
        """Return the lookup; nothing is learnt from the rows.

        Raises:
            InvalidInput: several numbers are asked for.
        """
        must_be_one_number(
            output, where="Constant", instead="Of classes, td.baselines.Prior is the share of each."
        )
        return Lookup(name=self.name, default=float(self.value))
