"""Shapley values of a sum of trees, exactly, leaf by leaf."""

from __future__ import annotations

from math import factorial

import numpy as np
import numpy.typing as npt

from treadle.core.forest import Forest, Step
from treadle.evaluation.arrays import Floats
from treadle.evaluation.shapley.additive import TOLERANCE
from treadle.evaluation.shapley.game import Game, Scale, Shares

Bools = npt.NDArray[np.bool_]


def trees(game: Game, scale: Scale, forest: Forest) -> Shares | None:
    """Return the contributions to a model whose answers follow from the forest's sums on this scale, else None.

    The interventional game (Lundberg et al., 2020; Laberge & Pequignot, 2022): for a row x and a background row z a leaf counts
    where each input on its way is right in x or in z. The inputs that are right in x only share its weight, those right in z
    only bear it. Columns that were made of one input, as by one-hot encoding, change with that input.
    """
    matrix, owners = _owned(game, forest)
    answers = game.answers(game.both)
    holds = scale.holds(answers)
    if owners is None or holds.sum() <= forest.targets:
        return None
    decided = forest.decisions(matrix)
    sums = _sums(forest, decided)
    found = _linked(sums[holds], scale.of(answers)[holds])
    if found is None:
        return None
    weights, offset = found
    shares = _shares(game, forest, decided, owners) @ weights
    base = sums[game.rows.height :].mean(axis=0) @ weights + offset
    return Shares(shares, base, scale.name, "trees")


def _owned(game: Game, forest: Forest) -> tuple[Floats, npt.NDArray[np.int64] | None]:
    """Return the matrix of all rows, and for each column the input that it was made of (-1: none); None: one has several."""
    matrix = forest.matrix(game.both)
    start = forest.matrix(game.background.head(1))
    owners = np.full(matrix.shape[1], -1)
    made = np.repeat(start, len(matrix), axis=0)
    for place, name in enumerate(game.inputs):
        alone = forest.matrix(game.beside(name, game.both[name]))
        moved = ~_same(alone, start).all(axis=0)
        if (owners[moved] >= 0).any():
            return matrix, None
        owners[moved] = place
        made[:, moved] = alone[:, moved]
    return matrix, owners if _same(made, matrix).all() else None


def _same(one: Floats, other: Floats) -> Bools:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)))


def _sums(forest: Forest, decided: Bools) -> Floats:
    """Return the sum for each target, of shape (rows, targets)."""
    total = np.zeros((decided.shape[1], forest.targets))
    for leaf, way in forest.leaves():
        there = np.ones(decided.shape[1], dtype=bool)
        for step in way:
            there &= decided[step.node] == step.yes
        total[there, forest.target[leaf]] += forest.weight[leaf]
    return total


def _linked(sums: Floats, wanted: Floats) -> tuple[Floats, Floats] | None:
    """Return weights and offset that make the answers of the sums, if there are any."""
    given = np.column_stack([sums, np.ones(len(sums))])
    solved = np.linalg.lstsq(given, wanted, rcond=None)[0]
    rest = np.abs(given @ solved - wanted)
    if (rest > TOLERANCE * np.maximum(1.0, np.abs(wanted))).any():
        return None
    weights: Floats = solved[:-1].astype(np.float64)
    return weights, np.asarray(solved[-1], dtype=np.float64)


def _shares(game: Game, forest: Forest, decided: Bools, owners: npt.NDArray[np.int64]) -> Floats:
    """Return the contributions to each target, of shape (rows, inputs, targets)."""
    rows = game.rows.height
    found = np.zeros((rows, len(game.inputs), forest.targets))
    for leaf, way in forest.leaves():
        inputs, right = _right(way, decided, owners[forest.feature])
        if inputs is None or not inputs:
            continue
        codes = right.T @ (1 << np.arange(len(inputs)))
        table, place = _table(codes[:rows], codes[rows:], len(inputs))
        found[:, inputs, forest.target[leaf]] += forest.weight[leaf] * table[place]
    return found


def _right(
    way: tuple[Step, ...], decided: Bools, owners: npt.NDArray[np.int64]
) -> tuple[list[int] | None, Bools]:
    """Return the inputs on the way to a leaf, and of shape (inputs, rows) where all steps of each lead there; None: no row comes there."""
    by_input: dict[int, Bools] = {}
    for step in way:
        leads = decided[step.node] == step.yes
        owner = int(owners[step.node])
        if owner < 0 and not leads.all():
            return None, np.zeros((0, decided.shape[1]), dtype=bool)
        if owner >= 0:
            by_input[owner] = by_input[owner] & leads if owner in by_input else leads
    return list(by_input), np.array(list(by_input.values())).reshape(len(by_input), -1)


def _table(
    rows: npt.NDArray[np.int64], background: npt.NDArray[np.int64], inputs: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return the shares of a leaf of weight 1 by kind of row, of shape (kinds, inputs), and the kind of each row.

    A kind is which inputs are right, as bits: there are few, so that the mean over the background is taken over kinds.
    """
    kinds, place = np.unique(rows, return_inverse=True)
    others, counts = np.unique(background, return_counts=True)
    bits = 1 << np.arange(inputs)
    table = np.zeros((len(kinds), inputs))
    for number, kind in enumerate(kinds):
        for other, count in zip(others, counts, strict=True):
            if (kind | other) != (1 << inputs) - 1:
                continue
            mine, theirs = (kind & ~other & bits) > 0, (other & ~kind & bits) > 0
            ours, n = int(mine.sum()), int(mine.sum() + theirs.sum())
            if ours:
                table[number, mine] += count * factorial(ours - 1) * factorial(n - ours) / factorial(n)
            if n > ours:
                table[number, theirs] -= count * factorial(ours) * factorial(n - ours - 1) / factorial(n)
    return table / counts.sum(), place
