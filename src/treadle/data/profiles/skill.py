"""The skill of one column: how well it alone predicts the outcome, on rows that the fit has not seen.

The column is cut into bins (a number at its quantiles, a text by value, a missing value is a bin of its own). In five
folds, each row gets the mean outcome of its bin in the other four, drawn towards the overall mean by a few rows' weight.
That model needs no library, sees any shape of dependence, and cannot profit from values that occur once, as keys do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.data.profiles.columns import kind_of, numbers
from treadle.data.profiles.histogram import Floats
from treadle.data.profiles.records import Skill

Codes = npt.NDArray[np.int64]

_FOLDS = 5
_BINS = 256
_ROWS_A_BIN = 50
#: Rows of the overall mean that are mixed into every bin.
_PRIOR_ROWS = 2.0
#: An outcome with more values than that is a number, or cannot be examined where it is text.
MOST_CLASSES = 20
_LEAST_SHARE = 1e-9


@dataclass(frozen=True)
class Target:
    """An outcome, ready to be predicted: classes as one column of zeros and ones each, numbers as their ranks."""

    kind: Literal["classes", "number"]
    #: (rows, classes) or (rows, 1).
    values: Floats
    classes: tuple[Any, ...] = ()


def target_of(outcome: pl.Series) -> Target | None:
    """Return the target for an outcome without missing values; None where it has too many classes, or one."""
    distinct = outcome.n_unique()
    kind = kind_of(outcome.dtype)
    if distinct < 2 or kind == "other":
        return None
    if kind in {"bool", "str"} or distinct == 2:
        if distinct > MOST_CLASSES:
            return None
        classes = outcome.unique().sort()
        codes = numbers(outcome.rank("dense")).astype(np.int64) - 1
        return Target("classes", np.eye(distinct)[codes], tuple(classes.to_list()))
    ranks = numbers(outcome.rank("average"))
    return Target("number", ((ranks - ranks.mean()) / ranks.std())[:, None])


def coded(values: pl.Series) -> Codes:
    """Return each value's bin; 0 is the bin of missing values.

    >>> coded(pl.Series([None, "b", "a", "b"])).tolist()
    [0, 2, 1, 2]
    """
    if kind_of(values.dtype) == "str":
        return numbers(values.cast(pl.String).rank("dense").fill_null(0)).astype(np.int64)
    cells = numbers(values)
    known = ~np.isnan(cells)
    bins = max(2, min(_BINS, int(known.sum()) // _ROWS_A_BIN))
    edges = np.unique(cells[known])
    if len(edges) > bins:
        at, repeats = np.unique(
            np.quantile(cells[known], np.linspace(0, 1, bins + 1)[1:-1]), return_counts=True
        )
        # A value that fills whole bins, as zero often does, has one of its own: its neighbours are something else.
        edges = np.unique(np.concatenate([at, np.nextafter(at[repeats > 1], np.inf)]))
    return np.where(known, np.searchsorted(edges, cells, side="right") + 1, 0).astype(np.int64)


def folds(rows: int) -> Codes:
    """Return the fold of each row: all of one size, the same every time."""
    return np.random.default_rng(0).permutation(rows).astype(np.int64) % _FOLDS


def skill(column: str, codes: Codes, target: Target, fold: Codes) -> Skill:
    """Return how well the bins of one column predict the target out of fold."""
    guesses = _guesses(codes, target.values, fold)
    base = _guesses(np.zeros_like(codes), target.values, fold)
    if target.kind == "number":
        left = float(np.sum((target.values - guesses) ** 2) / np.sum((target.values - base) ** 2))
        return Skill(column=column, explained=max(0.0, 1 - left))
    left = _log_loss(target.values, guesses) / _log_loss(target.values, base)
    return Skill(column=column, explained=max(0.0, 1 - left), auc=_auc(target.values, guesses, fold))


def _guesses(codes: Codes, values: Floats, fold: Codes) -> Floats:
    """Return for each row the mean of its bin in the other folds, shape (rows, classes)."""
    found = np.empty_like(values)
    size = int(codes.max()) + 1
    cell = codes * _FOLDS + fold
    rows = np.bincount(cell, minlength=size * _FOLDS).reshape(size, _FOLDS)
    others = rows.sum(axis=1, keepdims=True) - rows
    for place in range(values.shape[1]):
        sums = np.bincount(cell, weights=values[:, place], minlength=size * _FOLDS).reshape(size, _FOLDS)
        rest = sums.sum(axis=1, keepdims=True) - sums
        overall = rest.sum(axis=0) / others.sum(axis=0)
        means = (rest + _PRIOR_ROWS * overall) / (others + _PRIOR_ROWS)
        found[:, place] = means[codes, fold]
    return found


def _log_loss(truth: Floats, shares: Floats) -> float:
    return float(-np.sum(truth * np.log(np.maximum(shares, _LEAST_SHARE))))


def _auc(truth: Floats, shares: Floats, fold: Codes) -> float:
    """Return the area under the ROC curve, mean of the folds; each class against the rest, weighted by its rows."""
    classes = range(1, 2) if truth.shape[1] == 2 else range(truth.shape[1])
    total = weights = 0.0
    for place in classes:
        weight = float(truth[:, place].sum()) if len(classes) > 1 else 1.0
        inside = [_area(truth[fold == one, place], shares[fold == one, place]) for one in range(_FOLDS)]
        total, weights = total + weight * float(np.mean(inside)), weights + weight
    return total / weights


def _area(truth: Floats, scores: Floats) -> float:
    """Return the chance that a row of the class has the higher score, ties counting half (Mann–Whitney)."""
    _, place, rows = np.unique(scores, return_inverse=True, return_counts=True)
    inside = np.bincount(place, weights=truth)
    outside = rows - inside
    below = np.cumsum(outside) - outside / 2
    pairs = inside.sum() * outside.sum()
    return float((inside * below).sum() / pairs) if pairs else 0.5
