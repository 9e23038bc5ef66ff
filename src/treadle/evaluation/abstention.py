"""What happens below a confidence: the answer is given, kept back, handed to a person, or more is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.evaluation.arrays import Floats, vector
from treadle.evaluation.declared import is_number
from treadle.evaluation.quantiles import at_most, wilson

Instead = Literal["abstain", "review", "ask"]
ANSWER = "answer"
#: Confidences that are tried for a risk; each pays for the others.
_TRIED = 20
_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Abstain:
    """Do something else than answer below a confidence: `abstain`, hand it to a person for `review`, or `ask` for more.

    Of several, the one with the lowest `below` that a row is below counts.

    >>> steps = [Abstain(below=0.9, then="ask"), Abstain(below=0.6, then="review")]
    >>> actions(np.array([0.95, 0.7, 0.55]), steps).tolist()
    ['answer', 'ask', 'review']

    Raises:
        InvalidDeclaration: `below` is no number, or `then` is none of the three.
    """

    below: float
    then: Instead = "abstain"

    def __post_init__(self) -> None:
        """Check what was declared."""
        if not is_number(self.below) or self.below != self.below:
            msg = f"Abstain(below={self.below!r}): expected a confidence, as 0.8."
            raise InvalidDeclaration(msg, field="below")
        _check_then(self, self.then)

    @classmethod
    def at_risk(
        cls,
        wrong: npt.ArrayLike,
        sure: npt.ArrayLike,
        *,
        most: float,
        then: Instead = "abstain",
        chance: float = 0.05,
    ) -> Self:
        """Return the lowest confidence above which answers are wrong at most so often; choose it on validation rows.

        `wrong` is 1 where the answer is, else 0, and `sure` the confidence, both of shape (rows,). The risk of what is
        answered exceeds `most` with a chance of at most `chance`: exact binomial tests of twenty confidences, each at a
        twentieth of it.

        Raises:
            InvalidInput: no confidence is shown to be enough.
        """
        errors, levels = _checked(wrong, sure)
        tried = np.unique(np.quantile(levels, np.arange(_TRIED) / _TRIED, method="inverted_cdf"))
        for level in tried:
            kept = errors[levels >= level]
            if at_most(int(kept.sum()), len(kept), most) <= chance / _TRIED:
                return cls(below=float(level), then=then)
        msg = f"On these {len(errors):,} rows no confidence is shown to be wrong at most {most:g} of the time. Take more rows, or accept more."
        raise InvalidInput(msg, field="most")

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"below": float(self.below), "then": self.then}


@dataclass(frozen=True, kw_only=True)
class AtRisk:
    """Do something else than answer where answers would be wrong more often than `most`: a confidence settled in training.

    It is `Abstain.at_risk` on the validation rows of each version.

    Raises:
        InvalidDeclaration: `most` or `chance` is no share, or `then` is none of the three.
    """

    most: float
    then: Instead = "abstain"
    chance: float = 0.05

    def __post_init__(self) -> None:
        """Check what was declared."""
        for name in ("most", "chance"):
            value = getattr(self, name)
            if not is_number(value) or not 0 < value < 1:
                msg = f"AtRisk({name}={value!r}): expected more than 0 and less than 1, as 0.05."
                raise InvalidDeclaration(msg, field=name)
        _check_then(self, self.then)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"most": float(self.most), "then": self.then, "chance": float(self.chance)}


@dataclass(frozen=True, kw_only=True)
class Wider:
    """Do something else than answer where the conformal interval is wider `than` so much, or the set has more classes.

    A set without any class, of a row that is like none before, counts as too wide.

    Raises:
        InvalidDeclaration: `than` is no positive number, or `then` is none of the three.
    """

    than: float
    then: Instead = "review"

    def __post_init__(self) -> None:
        """Check what was declared."""
        if not is_number(self.than) or not self.than > 0:
            msg = f"Wider(than={self.than!r}): expected a width in the target's unit, or a number of classes, as 1."
            raise InvalidDeclaration(msg, field="than")
        _check_then(self, self.then)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"wider": float(self.than), "then": self.then}


def _check_then(declared: object, then: object) -> None:
    if then not in get_args(Instead):
        msg = f"{type(declared).__name__}(then={then!r}): expected one of {', '.join(get_args(Instead))}."
        raise InvalidDeclaration(msg, field="then")


def confidence(p: npt.ArrayLike) -> Floats:
    """Return the probability of the most probable class: of shape (rows,) from (rows,) for two classes, or (rows, classes).

    >>> confidence([0.2, 0.9]).tolist()
    [0.8, 0.9]
    """
    chances = np.asarray(p, dtype=np.float64)
    return np.maximum(chances, 1 - chances) if chances.ndim == 1 else np.asarray(chances.max(axis=1))


def actions(sure: npt.ArrayLike, steps: Sequence[Abstain]) -> npt.NDArray[np.str_]:
    """Return what is done with each row: `answer`, or what the step says that it is below."""
    levels = vector(sure, what="confidences")
    found = np.full(len(levels), ANSWER, dtype="<U7")
    for step in sorted(steps, key=lambda step: -step.below):
        found[levels < step.below] = step.then
    return found


def measured(
    wrong: npt.ArrayLike, sure: npt.ArrayLike, steps: Sequence[Abstain], *, alpha: float = 0.05
) -> pl.DataFrame:
    """Return, for each action, `share` of the rows and `risk`, how often an answer would be wrong, with its ends.

    >>> found = measured([0, 0, 1, 1], [0.9, 0.8, 0.6, 0.7], [Abstain(below=0.75, then="review")])
    >>> found.select("action", "share", "risk").rows()
    [('answer', 0.5, 0.0), ('review', 0.5, 1.0)]
    """
    errors, levels = _checked(wrong, sure)
    taken = actions(levels, steps)
    rows = []
    for action in (ANSWER, *get_args(Instead)):
        inside = taken == action
        n, hits = int(inside.sum()), float(errors[inside].sum())
        if n:
            low, high = wilson(hits, n, alpha=alpha)
            rows.append(
                {"action": action, "share": n / len(errors), "risk": hits / n, "low": low, "high": high}
            )
    return pl.DataFrame(rows)


def risk_curve(loss: npt.ArrayLike, sure: npt.ArrayLike) -> pl.DataFrame:
    """Return the mean loss of what is answered for each coverage: `confidence`, `coverage`, `risk`, at most 200 rows.

    >>> risk_curve([0, 0, 1, 1], [0.9, 0.8, 0.5, 0.5]).rows()
    [(0.9, 0.25, 0.0), (0.8, 0.5, 0.0), (0.5, 1.0, 0.5)]
    """
    losses, levels = _checked(loss, sure)
    order = np.argsort(-levels, kind="stable")
    last = np.flatnonzero(np.diff(-levels[order], append=np.inf))
    table = pl.DataFrame(
        {
            "confidence": levels[order][last],
            "coverage": (last + 1) / len(losses),
            "risk": np.cumsum(losses[order])[last] / (last + 1),
        }
    )
    return table[np.unique(np.linspace(0, table.height - 1, min(_SHOWN, table.height)).round().astype(int))]


def _checked(loss: npt.ArrayLike, sure: npt.ArrayLike) -> tuple[Floats, Floats]:
    losses, levels = vector(loss, what="losses"), vector(sure, what="confidences")
    if len(losses) != len(levels) or not len(losses):
        msg = f"There are {len(levels):,} confidences for {len(losses):,} losses. Expected one for each, and a row."
        raise InvalidInput(msg, field="sure")
    return losses, levels
