"""Values that are more or less common than before: Pearson's chi-squared of two samples, rare values pooled."""

from __future__ import annotations

import math

import numpy as np

from treadle.monitoring import tails
from treadle.monitoring.detector import Case, Measured
from treadle.monitoring.summaries import Category

#: Rows of the window that a value must be expected in to be counted by itself; rarer ones are pooled.
_EXPECTED = 5.0
#: Values that are named.
_NAMED = 3


class Detector:
    """See a change in how common the known values of a column of categories are.

    Pearson's statistic over both samples, conditional on the margins, with its mean, variance and skewness there and
    the tail of a gamma distribution; values that are expected in under 5 rows of the window are pooled. Two values, or what is pooled to two, are compared by
    Fisher's exact test. New values are another detector's. The effect is the share of the rows that would have to have another value
    to undo the change (total variation), above its noise.
    """

    least = 0.02
    of = "column"

    def measure(self, case: Case) -> Measured | None:
        """Compare."""
        before, now = case.before, case.now
        if not (isinstance(before, Category) and isinstance(now, Category)) or len(before.values) < 2:
            return None
        old, new = before.counts.astype(np.float64), now.counts.astype(np.float64)
        m, n = old.sum(), new.sum()
        if not n:
            return Measured(p=1.0, effect=0.0, floor=0.0, text="No row has a value that was there before.")
        apart = new / n - old / m
        shares = (old + new) / (n + m)
        noise = np.sqrt(shares * (1 - shares) * (1 / n + 1 / m))
        floor = float(math.sqrt(2 / math.pi) * noise.sum() / 2)
        effect = float(np.abs(apart).sum() / 2)
        return Measured(
            p=_p(old, new),
            effect=effect,
            floor=floor,
            text=_text(before.values, old / m, new / n),
            moved={
                "among": [before.values[place] for place in np.argsort(-apart)[:_NAMED] if apart[place] > 0]
            },
        )


def _p(old: np.ndarray, new: np.ndarray) -> float:
    n, m = new.sum(), old.sum()
    old, new = _pooled(old, new, n / (n + m))
    if len(old) < 2:
        return 1.0
    if len(old) == 2:
        return tails.two_shares(int(new[1]), int(n), int(old[1]), int(m))
    total = old + new
    everything = float(n + m)
    expected = total * n / everything
    statistic = float(((new - expected) ** 2 / (expected * m / everything)).sum())
    mean, variance = _moments(total, float(n), float(m))
    skew = _third(expected if n < m else total - expected, min(n, m) / everything) / variance**1.5
    ahead = 2 * math.sqrt(variance) / skew
    return tails.gamma(statistic - mean + ahead, mean=ahead, variance=variance)


def _pooled(old: np.ndarray, new: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Pool the values of which both samples together have too few rows: their number says nothing of where they are."""
    total = old + new
    rare = total * min(share, 1 - share) < _EXPECTED
    if not rare.any():
        return old, new
    pooled_old, pooled_new = old[rare].sum(), new[rare].sum()
    old, new = np.append(old[~rare], pooled_old), np.append(new[~rare], pooled_new)
    if (pooled_old + pooled_new) * min(share, 1 - share) < _EXPECTED and len(old) > 1:
        smallest = int(np.argmin((old + new)[:-1]))
        old[smallest] += old[-1]
        new[smallest] += new[-1]
        old, new = old[:-1], new[:-1]
    return old, new


def _moments(total: np.ndarray, n: float, m: float) -> tuple[float, float]:
    """Return the exact mean and variance of the statistic where rows are dealt out to the two samples by lot.

    Lewis, Saunders and Westcott (1984), after Haldane (1940).
    """
    cells, rows = len(total), n + m
    mean = rows * (cells - 1) / (rows - 1)
    if rows < 10:
        return mean, 2.0 * (cells - 1)
    samples, values = (rows - 2) / (rows - 1), (cells - 1) * (rows - cells) / (rows - 1)
    uneven = (rows / n + rows / m - 4) / (rows - 2)
    rare = (rows * float((1 / total).sum()) - cells**2) / (rows - 2)
    variance = (
        2 * rows / (rows - 3) * (samples - uneven) * (values - rare) + rows**2 / (rows - 1) * uneven * rare
    )
    return mean, variance


def _third(expected: np.ndarray, share: float) -> float:
    """Return the third central moment of the statistic, nearly: that of squared Poisson counts, which a sample of all rows has less of."""
    once = float((1 / expected).sum()) - len(expected) ** 2 / float(expected.sum())
    return 8.0 * (len(expected) - 1) + (1 - 2 * share) ** 2 * (
        22.0 * max(0.0, once) + float((1 / expected**2).sum())
    )


def _text(values: tuple[str, ...], was: np.ndarray, now: np.ndarray) -> str:
    order = np.argsort(-np.abs(now - was))[:_NAMED]
    return (
        "; ".join(f"{values[place]!r}: {was[place]:.1%} → {now[place]:.1%}" for place in order)
        + " of the rows."
    )
