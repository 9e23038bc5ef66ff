"""Answers that are what some columns of a row hold already, as the newest value of a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: One number for each row, or several.
Numbers = float | tuple[float, ...]


def copied(columns: Mapping[str, Sequence[Any]], names: Sequence[str], *, default: Numbers) -> list[Numbers]:
    """Return, for each row, the values of the named columns, and the default in the place of one that is missing.

    >>> copied({"now": [1, None], "before": [3.5, float("nan")]}, ["now", "before"], default=(0.0, 9.0))
    [(1.0, 3.5), (0.0, 9.0)]
    >>> copied({"now": [1, None]}, ["now"], default=0.5)
    [1.0, 0.5]
    """
    several = default if isinstance(default, tuple) else (default,)
    sides = [
        [otherwise if value is None or value != value else float(value) for value in columns[name]]
        for name, otherwise in zip(names, several, strict=True)
    ]
    rows = zip(*sides, strict=True)
    return list(rows) if isinstance(default, tuple) else [value for (value,) in rows]
