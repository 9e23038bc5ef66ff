"""Shapley values of any model, estimated: inputs are exchanged one after the other, in orders drawn by chance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.evaluation.arrays import Floats
from treadle.evaluation.shapley.game import Game, Scale, Shares

#: Background rows that are met at most, each in an order and in its reverse.
MET = 32
#: Rows that a model is asked about at most in all, as long as two background rows are met: some answer them one by one.
ASKED = 1_000_000
#: Cells of the frame that a model is asked about at once.
CELLS = 4_000_000


def permutations(game: Game, scale: Scale, *, seed: int) -> Shares:
    """Return estimates with their standard errors (Castro, Gómez & Tejada, 2009; reverse orders: Mitchell et al., 2022).

    Whatever is drawn, a row's contributions and the base add up to its answer. The errors count the background rows as drawn
    by chance, too.
    """
    random = np.random.default_rng(seed)
    each = 2 * game.rows.height * (len(game.inputs) + 1)
    count = min(MET, game.background.height, max(2, ASKED // each))
    places = np.linspace(0, game.background.height - 1, count).astype(np.int64)
    drawn = []
    for place in places.tolist():
        order = random.permutation(len(game.inputs))
        start = game.background[place : place + 1]
        drawn.append((_along(game, scale, order, start) + _along(game, scale, order[::-1], start)) / 2)
    found = np.stack(drawn)
    base = scale.of(game.answers(game.background[places])).mean(axis=0)
    spread = found.std(axis=0, ddof=1) if count > 1 else np.full(found.shape[1:], np.nan)
    return Shares(found.mean(axis=0), base, scale.name, "permutations", spread / np.sqrt(count))


def _along(game: Game, scale: Scale, order: npt.NDArray[np.int64], start: pl.DataFrame) -> Floats:
    """Return what each input changes when a background row becomes each of the rows in this order."""
    size = max(1, CELLS // (len(order) * (len(order) + 1)))
    parts = [
        _changes(game, scale, order, start, game.rows[first : first + size])
        for first in range(0, game.rows.height, size)
    ]
    return np.concatenate(parts)


def _changes(
    game: Game, scale: Scale, order: npt.NDArray[np.int64], start: pl.DataFrame, rows: pl.DataFrame
) -> Floats:
    steps, both = np.arange(len(order) + 1)[:, None], pl.concat([start, rows])
    taken = np.arange(1, rows.height + 1)
    ranks = np.argsort(order)
    # Of each column, after each step: the background row's value (place 0) until its turn has come, then each row's own.
    columns = [
        both[name].gather(np.where(steps > ranks[place], taken, 0).ravel())
        for place, name in enumerate(game.inputs)
    ]
    answers = scale.of(game.answers(pl.DataFrame(columns))).reshape(len(order) + 1, rows.height, -1)
    changed = np.diff(answers, axis=0)
    found = np.empty((rows.height, len(order), answers.shape[2]))
    found[:, order] = changed.transpose(1, 0, 2)
    return found
