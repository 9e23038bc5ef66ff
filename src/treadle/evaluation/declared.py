"""What a comparing gate declares, checked, and as plain values."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Protocol

from treadle.core import plugins
from treadle.core.errors import InvalidDeclaration, closest
from treadle.evaluation.gate import CANDIDATE
from treadle.evaluation.lookups import By, columns_of
from treadle.evaluation.objective import Objective

#: One metric or objective, several of them, or the task's own.
On = str | Objective | Sequence[str | Objective] | None


class Declared(Protocol):
    """A gate that is a frozen dataclass and decides on intervals."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """The plug-in's name."""
        ...

    @property
    def on(self) -> On:
        """The metrics that decide."""
        ...

    @property
    def alpha(self) -> float:
        """One minus the confidence of the interval that decides."""
        ...

    @property
    def min_rows(self) -> int:
        """The fewest rows on which it passes anybody."""
        ...

    @property
    def by(self) -> By:
        """The columns by whose values the rows are judged in parts, too."""
        ...

    @property
    def method(self) -> str | None:
        """The method of comparison; None: the one that fits best."""
        ...


class Comparing(Declared, Protocol):
    """A gate that compares with a reference."""

    @property
    def reference(self) -> str:
        """Whom the candidate is compared with."""
        ...


def spec_of(gate: Declared) -> dict[str, Any]:
    """Return a gate's declaration as plain values: equal gates have equal ones."""
    return {"gate": gate.name} | {
        field.name: _plain(getattr(gate, field.name), field.type) for field in fields(gate)
    }


def metrics_of(on: On) -> tuple[str | Objective | None, ...]:
    """Return what is declared as a tuple; None in it means the task's own metric.

    >>> metrics_of("log_loss"), metrics_of(["log_loss", "roc_auc"]), metrics_of(None)
    (('log_loss',), ('log_loss', 'roc_auc'), (None,))
    """
    return (on,) if on is None or isinstance(on, str | Objective) else tuple(on)


def check(gate: Declared, **more: tuple[object, bool, str]) -> None:
    """Check what a gate declares; `more` are its own fields: value, whether it holds, and what was expected.

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """
    alpha: object = gate.alpha
    rows: object = gate.min_rows
    methods = plugins.available("method")
    found: dict[str, tuple[object, bool, str]] = {
        **more,
        "alpha": (alpha, is_number(alpha) and 0 < gate.alpha < 1, "between 0 and 1, as 0.05"),
        "min_rows": (rows, is_number(rows) and gate.min_rows >= 1, "1 or more"),
        "method": (
            gate.method,
            gate.method is None or gate.method in methods,
            f"one of {', '.join(methods)}",
        ),
    }
    for field, (value, holds, expected) in found.items():
        if not holds:
            msg = f"{type(gate).__name__}({field}={value!r}): expected {expected}."
            raise InvalidDeclaration(msg, field=field)
    _check_on(gate)
    columns_of(gate.by, where=type(gate).__name__)


def check_metrics(gate: Any, own: Collection[str]) -> None:
    """Check that a gate decides on metrics that there are: plug-ins, or those that the question itself declares (`own`).

    Raises:
        InvalidDeclaration: there is none of that name; the message names the nearest.
    """
    known = (*own, *plugins.available("metric"))
    for name in metrics_of(getattr(gate, "on", None)):
        if isinstance(name, str) and name not in known:
            msg = f"{type(gate).__name__}(on={name!r}) names no metric. {closest(name, known)}"
            raise InvalidDeclaration(msg, field="on")


def reference_of(gate: Comparing) -> tuple[object, bool, str]:
    """Return what `check` needs to know of a reference."""
    given: object = gate.reference
    holds = isinstance(given, str) and bool(given) and given != CANDIDATE
    return given, holds, "another contender: 'champion', 'baseline', or a name"


def margin_of(margin: object) -> tuple[object, bool, str]:
    """Return what `check` needs to know of a margin."""
    return margin, is_number(margin) and 0 <= margin < math.inf, "0 or more"  # type: ignore[operator] # a number


def is_number(value: object) -> bool:
    """Return whether it is a number, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_on(gate: Declared) -> None:
    names = metrics_of(gate.on)
    for name in names:
        given: object = name
        if isinstance(given, Objective) or (given is None and gate.on is None):
            continue
        if not isinstance(given, str) or not given.isidentifier():
            msg = f"{type(gate).__name__}(on={given!r}) names no metric. {closest(str(given), plugins.available('metric'))}"
            raise InvalidDeclaration(msg, field="on")
    if not names or len(set(names)) < len(names):
        msg = f"{type(gate).__name__}(on={gate.on!r}): expected a metric, a list of different ones, or None."
        raise InvalidDeclaration(msg, field="on")


def _plain(value: Any, kind: Any) -> Any:
    if isinstance(value, Objective):
        return value.spec()
    if isinstance(value, int) and str(kind).startswith("float"):
        return float(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one, kind) for one in value]
    return value
