"""Shapley values by their definition: every set of inputs, every background row."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import factorial

import numpy as np
import polars as pl


def by_definition(
    answer: Callable[[pl.DataFrame], np.ndarray], rows: pl.DataFrame, background: pl.DataFrame
) -> np.ndarray:
    """Return contributions of shape (rows, inputs, numbers)."""
    names = rows.columns
    worth = {
        chosen: _worth(answer, rows, background, chosen)
        for size in range(len(names) + 1)
        for chosen in combinations(names, size)
    }
    found = []
    for name in names:
        others = [one for one in names if one != name]
        total = np.zeros_like(worth[()])
        for size in range(len(others) + 1):
            weight = factorial(size) * factorial(len(others) - size) / factorial(len(names))
            for chosen in combinations(others, size):
                more = tuple(one for one in names if one in {*chosen, name})
                total += weight * (worth[more] - worth[chosen])
        found.append(total)
    return np.stack(found, axis=1)


def _worth(
    answer: Callable[[pl.DataFrame], np.ndarray],
    rows: pl.DataFrame,
    background: pl.DataFrame,
    chosen: tuple[str, ...],
) -> np.ndarray:
    """Return the mean answer where the chosen inputs are the row's and the others the background's."""
    mixed = pl.concat(
        background.with_columns(
            pl.lit(rows[name][place], dtype=rows.schema[name]).alias(name) for name in chosen
        )
        for place in range(rows.height)
    )
    answers = np.asarray(answer(mixed), dtype=np.float64)
    return answers.reshape(rows.height, background.height, -1).mean(axis=1)
