"""A metric of one's own: a plain function that gives a number for each row, whose mean is the metric."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from treadle.core.errors import InvalidDeclaration


@dataclass(frozen=True)
class Metric:
    """A metric of one's own, for `td.Custom`: the mean over rows of what a function gives.

    The function takes outcomes and predictions as float64 arrays that cannot be written to, of shape (rows,), or
    (rows, columns) where there are several a row, and returns one finite number for each row. It must look at each row by itself: gates
    take their intervals from these numbers.

    >>> def cost(y, p):
    ...     return abs(y - p) * (1 + 4 * (p < y))
    >>> Metric(cost, greater_is_better=False).name
    'cost'

    Raises:
        InvalidDeclaration: it is no function of two arguments, or its name is none.
    """

    function: Callable[[Any, Any], Any]
    _: KW_ONLY
    #: Whether a greater value is the better one.
    greater_is_better: bool
    #: What it is called in gates, runs and cards; empty: as the function is.
    name: str = ""

    def __post_init__(self) -> None:
        """Check what was declared."""
        object.__setattr__(self, "name", self.name or getattr(self.function, "__name__", ""))
        _check(self)


def _check(metric: Metric) -> None:
    given: object = metric.function
    if not inspect.isfunction(given) or not takes_two(given):
        msg = f"Metric({given!r}): expected a function of two arguments, outcomes and predictions."
        raise InvalidDeclaration(msg, field="function")
    name: object = metric.name
    if not isinstance(name, str) or not name.isidentifier():
        msg = f"Metric(name={name!r}): expected a name of letters, digits and '_', as name='cost'."
        raise InvalidDeclaration(msg, field="name")
    better: object = metric.greater_is_better
    if not isinstance(better, bool):
        msg = f"Metric({name}, greater_is_better={better!r}): expected True or False."
        raise InvalidDeclaration(msg, field="greater_is_better")


def takes_two(function: Callable[..., Any]) -> bool:
    """Return whether a function takes two arguments by their places.

    >>> takes_two(lambda y, p: y), takes_two(lambda y, *, p: y)
    (True, False)
    """
    given = inspect.signature(function).parameters.values()
    by_place = [one for one in given if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD}]
    return len(by_place) == len(given) == 2
