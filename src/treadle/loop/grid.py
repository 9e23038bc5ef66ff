"""A grid of policies to replay beside the declared one: triggers × windows × gates, as a person writes them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from treadle.core import plugins
from treadle.core.errors import InvalidDeclaration, InvalidInput, closest
from treadle.data.windows import Expanding, Last, Tumbling, WindowRule
from treadle.loop.models import Model
from treadle.loop.policies import Policy, Trigger
from treadle.loop.triggers.age import Age

DECLARED, NONE = "declared", "none"
#: Policies at most: each is walked through the whole history.
MOST = 200


@dataclass(frozen=True, eq=False)
class Plan:
    """One policy of a grid."""

    name: str
    policy: Policy
    gates: tuple[Any, ...]


@dataclass(frozen=True)
class Grid:
    """What is varied, by the names under which it is told: every combination is a policy.

    What is left out stays as it is declared.

    >>> Grid(windows={"90d": Last("90d"), "all": Expanding()}).size
    2
    """

    triggers: Mapping[str, Sequence[Trigger]] = field(default_factory=dict)
    windows: Mapping[str, WindowRule] = field(default_factory=dict)
    gates: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return max(len(self.triggers), 1) * max(len(self.windows), 1) * max(len(self.gates), 1)

    def plans(self, model: Model) -> list[Plan]:
        """Return the policies, the declared one first, whether or not the grid has it.

        Raises:
            InvalidDeclaration: there are too many.
        """
        if self.size > MOST:
            msg = f"The grid has {self.size} policies; expected {MOST} at most."
            raise InvalidDeclaration(msg, field="grid")
        declared = model.policy
        triggers = dict(self.triggers) or {DECLARED: declared.triggers}
        windows = dict(self.windows) or {DECLARED: declared.window}
        gates = dict(self.gates) or {DECLARED: model.gates}
        found = [Plan(DECLARED, declared, model.gates)]
        for when, fired in triggers.items():
            for over, window in windows.items():
                for how, judged in gates.items():
                    if {when, over, how} != {DECLARED}:
                        policy = replace(declared, triggers=tuple(fired), window=window)
                        found.append(Plan(_name(when, over, how), policy, tuple(judged)))
        return found


def usual(model: Model) -> Grid:
    """Return twelve policies round the declared one: its triggers, weekly, four-weekly; its window and all rows; with gates and without."""
    wide = model.policy.window.spec() == Expanding().spec()
    return Grid(
        triggers={DECLARED: model.policy.triggers, "age:7d": [Age("7d")], "age:28d": [Age("28d")]},
        windows={DECLARED: model.policy.window}
        | ({"90d": Last("90d")} if wide else {"expanding": Expanding()}),
        gates={DECLARED: model.gates, NONE: ()},
    )


def read(model: Model, *, triggers: Sequence[str], windows: Sequence[str], gates: Sequence[str]) -> Grid:
    """Return the grid that texts describe; what is not given at all is as in `usual`.

    A trigger is `declared` or `name:argument`, several that belong together joined by `+` (`new_rows:5000+age:14d`); a window
    `declared`, `expanding`, `tumbling:7d` or a span as `90d`; gates `declared` or `none`.

    Raises:
        InvalidInput: a text is none of these.
    """
    known = usual(model)
    return Grid(
        triggers={text: _triggers(text, model) for text in triggers} or known.triggers,
        windows={text: _window(text, model) for text in windows} or known.windows,
        gates={text: _gates(text, model) for text in gates} or known.gates,
    )


def _name(when: str, over: str, how: str) -> str:
    said = [f"triggers {when}" if when == DECLARED else when, f"window {over}"]
    return ", ".join([*said, "no gates" if how == NONE else f"gates {how}"])


def _triggers(text: str, model: Model) -> Sequence[Trigger]:
    if text == DECLARED:
        return model.policy.triggers
    return [_trigger(part) for part in text.split("+")]


def _trigger(text: str) -> Trigger:
    name, _, argument = text.partition(":")
    if name not in plugins.available("trigger") or name == "request":
        msg = f"{text!r}: no trigger named {name!r}. {closest(name, plugins.available('trigger'))} Expected as 'new_rows:5000' or 'age:7d'."
        raise InvalidInput(msg, field="triggers")
    made = plugins.public_class("trigger", "".join(part.capitalize() for part in name.split("_")))
    given = [int(argument) if argument.isdigit() else _number(argument)] if argument else []
    try:
        found: Trigger = made(*given)
    except TypeError as error:
        msg = f"{text!r}: {error}. Expected as 'new_rows:5000' or 'age:7d'."
        raise InvalidInput(msg, field="triggers") from error
    return found


def _number(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _window(text: str, model: Model) -> WindowRule:
    name, _, span = text.partition(":")
    if text == DECLARED:
        return model.policy.window
    if text == "expanding":
        return Expanding()
    if name == "tumbling" and span:
        return Tumbling(span)
    return Last(text)


def _gates(text: str, model: Model) -> Sequence[Any]:
    if text not in {DECLARED, NONE}:
        msg = f"Gates are 'declared' or 'none', not {text!r}."
        raise InvalidInput(msg, field="gates")
    return model.gates if text == DECLARED else ()
