"""Axes: where a parameter's values lie between 0 and 1, and how its ends are written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from treadle.data.profiles import words
from treadle.training.trials import Trial


@dataclass(frozen=True)
class Axis:
    """One dimension of a search."""

    name: str
    low: float
    high: float
    log: bool
    #: The values of a dimension without order, as they are written; empty: numbers.
    choices: tuple[str, ...] = ()

    def place(self, value: Any) -> float:
        """Return where a value lies, from 0 to 1."""
        if self.choices:
            return (self.choices.index(_text(value)) + 0.5) / len(self.choices)
        low, high, at = (_scaled(v, log=self.log) for v in (self.low, self.high, float(value)))
        return (at - low) / (high - low) if high > low else 0.5

    @property
    def ends(self) -> list[str]:
        """What is written at the ends, or for each choice."""
        if self.choices:
            return [words.shown(choice, longest=14) for choice in self.choices]
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return [words.number(value) for value in (self.low, middle, self.high)]


def axes_of(trials: Sequence[Trial]) -> list[Axis]:
    """Return the dimensions that trials were drawn from, in the order in which they first were."""
    found: dict[str, Axis] = {}
    for trial in trials:
        for name, text in trial.drawn.distributions.items():
            if name not in found:
                found[name] = _axis(name, json.loads(text))
    return list(found.values())


def _axis(name: str, given: dict[str, Any]) -> Axis:
    told = given["attributes"]
    if "choices" in told:
        choices = tuple(_text(choice) for choice in told["choices"])
        return Axis(name, 0.0, 1.0, log=False, choices=choices)
    return Axis(name, float(told["low"]), float(told["high"]), log=bool(told.get("log")))


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def _scaled(value: float, *, log: bool) -> float:
    return math.log(value) if log else value
