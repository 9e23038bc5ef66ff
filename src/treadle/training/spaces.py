"""What hyper-parameters may be: ranges of numbers and lists of choices, in Optuna's terms."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from treadle.core.errors import InvalidDeclaration

#: What a choice may be, so that it can be kept and shown.
Plain = str | int | float | bool | None


@dataclass(frozen=True)
class Float:
    """A number from `low` to `high`, both included; `log` draws its logarithm, `step` lets it jump.

    >>> Float(1e-4, 1e-1, log=True).spec()
    {'type': 'float', 'low': 0.0001, 'high': 0.1, 'step': None, 'log': True}
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def __post_init__(self) -> None:
        """Check what was declared."""
        _check_range(self, least=0.0)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "type": "float",
            "low": float(self.low),
            "high": float(self.high),
            "step": self.step,
            "log": self.log,
        }


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included; `log` draws its logarithm, `step` lets it jump.

    >>> Int(2, 10, step=2).spec()
    {'type': 'int', 'low': 2, 'high': 10, 'step': 2, 'log': False}
    """

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        """Check what was declared."""
        for name in ("low", "high", "step"):
            if not isinstance(getattr(self, name), int):
                msg = f"{self!r}: {name} is no whole number. Expected for example td.Int(1, 10), or td.Float."
                raise InvalidDeclaration(msg, field=name)
        _check_range(self, least=1)

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"type": "int", "low": self.low, "high": self.high, "step": self.step, "log": self.log}


@dataclass(frozen=True)
class Categorical:
    """One of some choices: texts, numbers, truth values or None.

    >>> Categorical(["gini", "entropy"]).spec()
    {'type': 'categorical', 'choices': ['gini', 'entropy']}
    """

    choices: tuple[Plain, ...] | list[Plain]

    def __post_init__(self) -> None:
        """Check what was declared."""
        given: object = self.choices
        if isinstance(given, str) or not isinstance(given, list | tuple) or not given:
            msg = f"{self!r} offers no choices. Expected a list, as td.Categorical(['gini', 'entropy'])."
            raise InvalidDeclaration(msg, field="choices")
        for choice in given:
            if not isinstance(choice, str | int | float | bool | None):
                msg = (
                    f"{self!r}: {choice!r} is of type {type(choice).__name__}. Expected texts, numbers, truth values or "
                    "None: name what you choose from, and look it up in the training function."
                )
                raise InvalidDeclaration(msg, field="choices")

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"type": "categorical", "choices": list(self.choices)}


Dimension = Float | Int | Categorical


def _check_range(given: Float | Int, *, least: float) -> None:
    if not (_is_finite(given.low) and _is_finite(given.high)):
        msg = f"{given!r}: its ends are no finite numbers."
        raise InvalidDeclaration(msg, field="low")
    if given.low > given.high:
        msg = f"{given!r} begins after it ends. Put the smaller number first."
        raise InvalidDeclaration(msg, field="low")
    if given.log and (given.low <= 0 or given.low < least):
        msg = f"{given!r}: the logarithm needs low to be {'1 or more' if least else 'above 0'}."
        raise InvalidDeclaration(msg, field="low")
    if given.step is not None and given.step <= 0:
        msg = f"{given!r}: the step is not above 0."
        raise InvalidDeclaration(msg, field="step")
    if given.log and given.step not in (None, 1):
        msg = f"{given!r} has both log and step; a range has one of them."
        raise InvalidDeclaration(msg, field="step")


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
