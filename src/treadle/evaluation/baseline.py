"""What every baseline must be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

    from treadle.core.records import Lookup
    from treadle.core.signature import Field


class Baseline(Protocol):
    """A simple thing that a model must beat."""

    @property
    def name(self) -> str:
        """What tells it from the other baselines of a model."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values: equal baselines have equal ones."""
        ...

    def fit(self, frame: pl.DataFrame, target: str | pl.Series, *, output: Field | None = None) -> Lookup:
        """Fit to training rows; `target` is a column, or a number for each row.

        `output` is what is asked for, with the names of its columns where an answer is several numbers; None: one number.

        Raises:
            InvalidInput: the rows or the target do not fit.
        """
        ...
