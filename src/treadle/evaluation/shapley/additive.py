"""Shapley values of a sum of functions of one input each: linear models, whatever is done to each input before."""

from __future__ import annotations

import numpy as np

from treadle.evaluation.shapley.game import Game, Scale, Shares

#: The largest difference, absolute or relative, between an answer and the sum of its parts.
TOLERANCE = 1e-6


def additive(game: Game, scale: Scale) -> Shares | None:
    """Return the contributions if the answers are such a sum on every row, else None.

    Then an input's contribution is its function less the function's mean over the background (Štrumbelj & Kononenko,
    2014). Whether the answers are such a sum is tried on all rows, not assumed.
    """
    both = game.both
    answers = game.answers(both)
    holds = scale.holds(answers)
    start = game.answers(game.background.head(1))
    if not scale.holds(start).all() or not holds.any():
        return None
    whole, first = scale.of(answers), scale.of(start)[0]
    parts = np.empty((both.height, len(game.inputs), whole.shape[1]))
    for place, name in enumerate(game.inputs):
        alone = game.answers(game.beside(name, both[name]))
        if not scale.holds(alone).all():
            return None
        parts[:, place] = scale.of(alone) - first
    rest = np.abs(first + parts.sum(axis=1) - whole)[holds]
    if (rest > TOLERANCE * np.maximum(1.0, np.abs(whole[holds]))).any():
        return None
    means = parts[game.rows.height :].mean(axis=0)
    return Shares(parts[: game.rows.height] - means, first + means.sum(axis=0), scale.name, "additive")
