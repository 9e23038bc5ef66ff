"""How a fitted baseline answers: by a table, by what a column holds, or by how its columns are spread."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from treadle.core.copied import copied

if TYPE_CHECKING:
    from treadle.core.records import Lookup

_SEPARATOR = "\x1f"


def predicted(lookup: Lookup, columns: Mapping[str, Sequence[Any]], rows: int) -> list[Any]:
    """Return a baseline's prediction for each row of `columns` (name → values)."""
    if not lookup.by:
        return [lookup.default] * rows
    if lookup.copied:
        return copied(columns, lookup.copied, default=lookup.default)
    held = [columns[name] for name in lookup.by]
    if lookup.normal:
        return log_densities(held, [lookup.normal[name] for name in lookup.by])
    if lookup.scale:
        return told(held[0], scale=lookup.scale, default=lookup.default)
    keys = zip(*held, strict=True)
    return [lookup.values.get(_SEPARATOR.join(map(str, key)), lookup.default) for key in keys]


def told(held: Sequence[Any], *, scale: float, default: Any) -> list[Any]:
    """Return each value times `scale`; `default` for one that is missing, or no finite number.

    >>> told([2, "3.5", None, "dear"], scale=-1.0, default=0.0)
    [-2.0, -3.5, 0.0, 0.0]
    """
    numbers = map(_number, held)
    return [default if number is None else scale * number for number in numbers]


def log_densities(held: Sequence[Sequence[Any]], spreads: Sequence[tuple[float, float]]) -> list[float]:
    """Return the log density of rows of independent normal columns; a value that is missing adds nothing.

    >>> [round(found, 3) for found in log_densities([[0.0, 2.0], [0.0, None]], [(0.0, 1.0), (0.0, 2.0)])]
    [-2.531, -2.919]
    """
    parts = [
        [_log_normal(value, *spread) for value in values]
        for values, spread in zip(held, spreads, strict=True)
    ]
    return [sum(row) for row in zip(*parts, strict=True)]


def _log_normal(value: Any, mean: float, spread: float) -> float:
    number = _number(value)
    if number is None:
        return 0.0
    return -0.5 * ((number - mean) / spread) ** 2 - math.log(spread) - 0.5 * math.log(2 * math.pi)


def _number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None
