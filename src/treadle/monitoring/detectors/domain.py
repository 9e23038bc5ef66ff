"""All columns together: can a model tell rows of the window from rows of the reference? Costs a few seconds, so it is asked for by name."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from treadle.monitoring import boosted
from treadle.monitoring.detector import Case, Measured

#: Rows of each side at least, and at most taken; and the parts into which they are divided.
_LEAST, _MOST, _PARTS = 100, 2_000, 4
_TREES = 30


class Detector:
    """See a change of several columns together that none of them shows alone, as when two no longer go together.

    Boosted trees learn to tell the two kinds of rows on three quarters of them and say of the last quarter which is which; so for each quarter. The
    effect is twice what of the area under the curve lies above a half: from 0 (they cannot be told) to 1 (they always can). Of what was learnt on other rows the area has
    Mann and Whitney's distribution where nothing has changed. Rows are the 2,000 that the reference keeps whole, and as many of the window.
    """

    least = 0.1
    of = "rows"

    def measure(self, case: Case) -> Measured | None:
        """Compare."""
        if min(case.sample.height, case.rows.height) < _LEAST:
            return Measured(p=1.0, effect=0.0, floor=0.0, text="There are too few rows to tell them apart.")
        random = np.random.default_rng(0)
        sides = [_some(frame, random) for frame in (case.sample, case.rows)]
        values = pl.concat([side.select(case.sample.columns) for side in sides], how="vertical_relaxed")
        is_new = np.repeat([0, 1], [side.height for side in sides])
        part = random.permutation(len(is_new)) % _PARTS
        areas, variances = [], []
        for held in range(_PARTS):
            area, variance = _told_apart(values, is_new, part == held)
            areas.append(area)
            variances.append(variance)
        area, error = float(np.mean(areas)), math.sqrt(sum(variances)) / _PARTS
        low, high = area - 1.96 * error, min(1.0, area + 1.96 * error)
        return Measured(
            p=0.5 * math.erfc((area - 0.5) / error / math.sqrt(2)),
            effect=max(0.0, 2 * area - 1),
            floor=2 * error / math.sqrt(2 * math.pi),
            text=f"Rows of the window can be told from those of the reference with an area under the curve of {area:.3f} ({low:.3f} to {high:.3f}; 0.5: not at all).",
        )


def _told_apart(values: pl.DataFrame, is_new: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Return the area under the curve on the held rows, and its variance where nothing has changed."""
    learnt, asked = values.filter(pl.Series(~held)), values.filter(pl.Series(held))
    model = boosted.fit(learnt, is_new[~held].astype(np.float64), columns=values.columns, trees=_TREES)
    said = model.predict(asked)
    new, old = said[is_new[held] == 1], np.sort(said[is_new[held] == 0])
    if not len(new) or not len(old):
        return 0.5, 1.0
    wins = np.searchsorted(old, new, side="left") + np.searchsorted(old, new, side="right")
    n, m = len(new), len(old)
    return float(wins.sum() / 2 / (n * m)), (n + m + 1) / (12 * n * m)


def _some(frame: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    if frame.height <= _MOST:
        return frame
    return frame[np.sort(random.choice(frame.height, _MOST, replace=False))]
