"""Who answers the rows that are judged: a loaded model, a fitted baseline, an estimator of a replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from treadle.core.answers import aligned, numbers, scored, shape_of
from treadle.core.errors import InvalidInput
from treadle.core.records import Lookup
from treadle.core.servable import Servable
from treadle.core.signature import Signature


@dataclass(frozen=True)
class Contender:
    """Who answers rows, and what the numbers of an answer are called."""

    answer: Callable[[pl.DataFrame], np.ndarray]
    columns: tuple[str, ...] = ()
    #: What it takes; None: any row.
    signature: Signature | None = None

    def over(self, columns: Sequence[str], rows: pl.DataFrame, *, fills: bool, source: str) -> np.ndarray:
        """Answer with these columns, one that it lacks filled with 0 (`fills`) or refused; none: with what it has."""
        found = self._answered(rows, source)
        if fills:
            return aligned(found, self.columns, columns=tuple(columns), source=source)
        return found[:, [self.columns.index(name) for name in columns]] if columns else found

    def _answered(self, rows: pl.DataFrame, source: str) -> np.ndarray:
        """Answer; a row that lacks a value which the model cannot do without counts as most uncertain, as nobody gets an answer to it."""
        lacking = {} if self.signature is None else lacks(self.signature, rows)
        if not lacking:
            return self.answer(rows)
        blocked = (
            rows.select(pl.any_horizontal(pl.col(name).is_null() for name in lacking)).to_series().to_numpy()
        )
        given = self.answer(rows.filter(~blocked))
        found = np.empty((rows.height, *given.shape[1:]))
        found[~blocked], found[blocked] = given, self._uncertain(given, lacking, source)
        return found

    def _uncertain(self, given: np.ndarray, lacking: dict[str, int], source: str) -> np.ndarray | float:
        assert self.signature is not None
        name = scored(self.signature).name
        if name == "probability":
            return 0.5
        if name == "probabilities":
            shares = not len(given) or bool(np.allclose(given.sum(axis=1), 1.0))
            return 1 / len(self.columns) if shares else 0.5
        if not len(given):
            msg = f"{source} can answer none of the rows: {told(lacking)}. {REMEDY}"
            raise InvalidInput(msg, field=next(iter(lacking)))
        mean: np.ndarray = given.mean(axis=0)
        return mean


#: What to do where a model takes no missing values and rows have them.
REMEDY = "Declare the column as one that may be null in the dataset's contract, as `wind: float | None`, and train anew."


def lacks(signature: Signature, rows: pl.DataFrame) -> dict[str, int]:
    """Return the columns that a model cannot do without and some rows have no value of, with the number of these."""
    needed = [field.name for field in signature.inputs if not field.nullable and field.name in rows.columns]
    return {name: count for name in needed if (count := rows[name].null_count())}


def told(lacking: dict[str, int]) -> str:
    """Return which columns have no value, and where, in words.

    >>> told({"wind": 3})
    "'wind' has no value in 3 rows"
    """
    return ", ".join(f"{name!r} has no value in {count:,} rows" for name, count in lacking.items())


def looks_up(lookup: Lookup) -> Contender:
    """Return a fitted baseline as a contender."""

    def answer(rows: pl.DataFrame) -> np.ndarray:
        found = lookup.predict({name: rows[name].to_list() for name in lookup.by}, rows.height)
        return np.asarray(found, dtype=np.float64).reshape(shape_of(columns, rows.height))

    columns = lookup.columns
    return Contender(answer, columns)


def answers_with(servable: Servable) -> Contender:
    """Return a loaded model as a contender."""
    columns = scored(servable.signature).columns

    def answer(rows: pl.DataFrame) -> np.ndarray:
        if rows.is_empty():
            return np.empty(shape_of(columns, 0))
        signature = servable.signature
        return from_bound(numbers(servable.predict(signature.encode(rows)), signature), signature)

    return Contender(answer, columns, servable.signature)


def from_bound(values: np.ndarray, signature: Signature) -> np.ndarray:
    """Return scores as they are compared: how far they lie above the bound of their own version; other numbers stay."""
    if scored(signature).name != "score":
        return values
    return values - next((field.above for field in signature.outputs if field.kind == "boolean"), 0.0)
