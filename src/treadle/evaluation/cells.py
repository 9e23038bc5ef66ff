"""Many draws of the mean of many numbers, by drawing neighbouring numbers together.

The numbers are sorted. The least and the greatest are drawn one by one; those between are put into cells of equally
many, and how often a draw takes a row of a cell of m is one Poisson number of mean m. The weights of rows are
independent, so this is the bootstrap of a set in which each number of a cell is replaced by the cell's mean; what that
loses of the variance is measured and given back as a normal number. A draw costs a few thousand random numbers,
however many rows there are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from treadle.evaluation.arrays import Floats

#: Fewer numbers than this are drawn one by one.
LEAST = 20_000
_CELLS = 2_048
#: Drawn one by one at each end.
_ENDS = 1_024
#: Draws whose weights are in memory at once.
_BLOCK = 64
_VALUES_OF_TWO_BYTES = 65_536


def means(values: Floats, *, draws: int, seed: int) -> Floats:
    """Return the mean of each draw: shape (draws,). The stream of random numbers is NumPy's fixed PCG64.

    >>> means(np.arange(50_000.0), draws=2, seed=0).round().tolist()
    [24965.0, 25065.0]
    """
    middle = values.mean()
    alone, cells, size, lost = _parted(np.sort(values) - middle)
    once, often = poisson(1), poisson(size)
    random = np.random.PCG64(seed)
    found = np.empty(draws)
    for start in range(0, draws, _BLOCK):
        block = min(_BLOCK, draws - start)
        first = once[_two_bytes(random, block, len(alone))]
        rest = often[_two_bytes(random, block, len(cells))]
        noise = _normal(random, block) * np.sqrt(lost)
        total = first.sum(axis=1) + rest.sum(axis=1)
        found[start : start + block] = middle + (first @ alone + rest @ cells + noise) / total
    return found


def _parted(ranked: Floats) -> tuple[Floats, Floats, int, float]:
    """Return the numbers drawn alone, the cells' means, the size of a cell, and the variance that cells lose."""
    size = (len(ranked) - 2 * _ENDS) // _CELLS
    last = _ENDS + size * _CELLS
    cells = ranked[_ENDS:last].reshape(_CELLS, size)
    alone = np.concatenate([ranked[:_ENDS], ranked[last:]])
    centres = cells.mean(axis=1)
    return alone, centres, size, float(((cells - centres[:, None]) ** 2).sum())


def poisson(mean: int) -> Floats:
    """Return a Poisson number for each value of two random bytes; their mean and variance are exactly `mean`."""
    reach = round(12 * mean**0.5) + 12
    counts = np.arange(max(0, mean - reach), mean + reach + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, counts[-1] + 1)))])
    chances = np.exp(counts * np.log(mean) - mean - factorials[counts])
    shares = (np.arange(_VALUES_OF_TWO_BYTES) + 0.5) / _VALUES_OF_TWO_BYTES
    found = counts[np.searchsorted(np.cumsum(chances / chances.sum()), shares)].astype(np.float64)
    return np.asarray(mean + (found - found.mean()) * np.sqrt(mean / found.var()))


def _two_bytes(random: np.random.PCG64, draws: int, numbers: int) -> npt.NDArray[np.uint16]:
    raw = random.random_raw(draws * numbers // 4 + 1).astype("<u8", copy=False)
    return raw.view("<u2")[: draws * numbers].reshape(draws, numbers)


def _normal(random: np.random.PCG64, numbers: int) -> Floats:
    """Return standard normal numbers, by the transformation of Box and Muller."""
    raw = random.random_raw(2 * numbers).astype(np.float64).reshape(2, numbers) / 2.0**64
    radius, angle = np.sqrt(-2 * np.log1p(-np.minimum(raw[0], 1 - 2.0**-53))), 2 * np.pi * raw[1]
    return np.asarray(radius * np.cos(angle))
