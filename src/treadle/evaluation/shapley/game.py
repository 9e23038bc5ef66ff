"""The game that Shapley values divide: an answer's number where some inputs are a row's and the others a background row's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput
from treadle.evaluation.arrays import Floats

#: Where an answer is so near to 0 or 1 that its odds have lost their digits, it is not compared with.
_NEAR = 1e-7


@dataclass(frozen=True)
class Scale:
    """A scale on which contributions add up, and how an answer is brought onto it."""

    name: str
    of: Callable[[Floats], Floats]
    #: Whether a row's answers are far enough from where the scale has no end.
    holds: Callable[[Floats], npt.NDArray[np.bool_]]


def _inside(values: Floats) -> npt.NDArray[np.bool_]:
    return np.asarray(((values > _NEAR) & (values < 1 - _NEAR)).all(axis=1))


def _everywhere(values: Floats) -> npt.NDArray[np.bool_]:
    return np.ones(len(values), dtype=bool)


def are_shares(values: Floats) -> bool:
    """Return whether the numbers of each answer add up to 1, as the probabilities of classes do and those of labels do not."""
    return values.shape[1] > 1 and bool(np.allclose(values.sum(axis=1), 1.0))


def _log_odds(values: Floats) -> Floats:
    held = np.clip(values, 1e-300, None)
    if not are_shares(values):
        return np.asarray(np.log(held) - np.log(np.clip(1 - values, 1e-300, None)))
    logs = np.log(held)
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))


def _log(values: Floats) -> Floats:
    return np.asarray(np.log(np.clip(values, 1e-300, None)))


LOG_ODDS = Scale("log-odds", _log_odds, _inside)
PROBABILITY = Scale("probability", np.asarray, _everywhere)
VALUE = Scale("value", np.asarray, _everywhere)
LOG = Scale("log", _log, lambda values: np.asarray((values > _NEAR).all(axis=1)))


def scales(*, likely: bool) -> tuple[Scale, Scale]:
    """Return the scales on which models of a kind add up, the usual first."""
    return (LOG_ODDS, PROBABILITY) if likely else (VALUE, LOG)


@dataclass(frozen=True)
class Game:
    """Rows to explain and background rows, and who answers them."""

    predict: Callable[[pl.DataFrame], npt.ArrayLike]
    rows: pl.DataFrame
    background: pl.DataFrame
    #: The inputs among which an answer is divided.
    inputs: tuple[str, ...]

    @property
    def both(self) -> pl.DataFrame:
        """The rows, and behind them the background."""
        return pl.concat([self.rows, self.background])

    def answers(self, frame: pl.DataFrame) -> Floats:
        """Return the answers as float64 of shape (rows, numbers)."""
        found = np.asarray(self.predict(frame), dtype=np.float64)
        if found.ndim not in (1, 2) or len(found) != frame.height:
            msg = f"The model gave an answer of shape {found.shape} for {frame.height} rows. Expected one answer for each."
            raise InvalidInput(msg)
        return found.reshape(frame.height, -1)

    def beside(self, name: str, values: pl.Series) -> pl.DataFrame:
        """Return the first background row once for each value, with the value as one of its inputs."""
        first = self.background.head(1)
        repeated = first[np.zeros(len(values), dtype=np.int64)]
        return repeated.with_columns(values.alias(name))


@dataclass(frozen=True)
class Shares:
    """Contributions: `values` of shape (rows, inputs, numbers), `base` of shape (numbers,)."""

    values: Floats
    base: Floats
    scale: str
    method: str
    #: Standard error of each contribution, of the shape of `values`; None: they are exact.
    error: Floats | None = None

    def over(self, columns: Sequence[int]) -> Shares:
        """Return the contributions to some of an answer's numbers."""
        error = None if self.error is None else self.error[:, :, columns]
        return Shares(self.values[:, :, columns], self.base[list(columns)], self.scale, self.method, error)
