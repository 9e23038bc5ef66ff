"""Shapley values of any model, estimated: inputs are exchanged one after the other, in orders drawn by chance."""

from __future__ import annotations

import numpy as np
import polars as pl

from treadle.evaluation.shapley.game import Game, Scale, Shares

#: Background rows that are met at most, each in an order and in its reverse.
MET = 32


def permutations(game: Game, scale: Scale, *, seed: int) -> Shares:
    """Return estimates with their standard errors (Castro, Gómez & Tejada, 2009; reverse orders: Mitchell et al., 2022).

    Whatever is drawn, a row's contributions and the base add up to its answer. The errors count the background rows as drawn
    by chance, too.
    """
    random = np.random.default_rng(seed)
    count = min(MET, game.background.height)
    places = np.linspace(0, game.background.height - 1, count).astype(np.int64)
    taken = [np.array(game.background[name].to_list(), dtype=object) for name in game.inputs]
    given = [np.array(game.rows[name].to_list(), dtype=object) for name in game.inputs]
    rows, inputs = game.rows.height, len(game.inputs)
    drawn = []
    for place in places.tolist():
        order = random.permutation(inputs)
        both = [
            _along(game, scale, one, given, [values[place] for values in taken])
            for one in (order, order[::-1])
        ]
        drawn.append((both[0] + both[1]) / 2)
    stacked = np.stack(drawn)
    base = scale.of(game.answers(game.background[places])).mean(axis=0)
    spread = stacked.std(axis=0, ddof=1) if count > 1 else np.full((rows, inputs, len(base)), np.nan)
    return Shares(stacked.mean(axis=0), base, scale.name, "permutations", spread / np.sqrt(count))


def _along(
    game: Game, scale: Scale, order: np.ndarray, given: list[np.ndarray], start: list[object]
) -> np.ndarray:
    """Return what each input changes when a background row becomes each of the rows in this order."""
    rows, inputs = game.rows.height, len(given)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in game.inputs}
    for taken in range(inputs + 1):
        mine = set(order[:taken].tolist())
        for place, name in enumerate(game.inputs):
            values = np.full(rows, None, dtype=object)
            values[:] = given[place] if place in mine else [start[place]] * rows
            columns[name].append(values)
    schema = game.rows.schema
    frame = pl.DataFrame(
        [
            pl.Series(name, np.concatenate(parts).tolist(), dtype=schema[name], strict=False)
            for name, parts in columns.items()
        ]
    )
    answers = scale.of(game.answers(frame)).reshape(inputs + 1, rows, -1)
    changes = np.diff(answers, axis=0)
    found = np.empty((rows, inputs, answers.shape[2]))
    found[:, order] = changes.transpose(1, 0, 2)
    return found
