"""Histograms: bins with edges that a person can read, and room for the values that most rows have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from treadle.data.profiles.records import Histogram

Floats = npt.NDArray[np.float64]

#: About so many bins.
_BINS = 60
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def histogram(values: Floats, *, whole: bool, edges: Sequence[float] | None = None) -> Histogram | None:
    """Return the histogram of sorted values, in given bins or in good ones; None for no values.

    >>> histogram(np.array([1.0, 2.0, 2.0, 4.0]), whole=True).counts
    (1, 2, 0, 1)
    """
    if values.size == 0:
        return None
    used = np.asarray(edges if edges is not None else good_edges(values, whole=whole))
    places = np.searchsorted(values, used, side="left")
    places[-1] = np.searchsorted(values, used[-1], side="right")
    return Histogram(
        edges=tuple(used.tolist()),
        counts=tuple(np.diff(places).tolist()),
        below=int(places[0]),
        above=int(values.size - places[-1]),
    )


def good_edges(values: Floats, *, whole: bool) -> Floats:
    """Return edges of round numbers around the sorted values.

    They reach no further than the width of the middle 98 % on either side of it: one wrong value in a million must not
    press all others into one bar.
    """
    low, high = float(values[0]), float(values[-1])
    inner_low, inner_high = np.quantile(values, (0.01, 0.99))
    spread = inner_high - inner_low
    if spread > 0:
        low, high = max(low, inner_low - spread), min(high, inner_high + spread)
    width = _round_width((high - low) / _BINS, whole=whole) if high > low else 1.0
    first = math.floor(low / width) * width
    if not first <= low < first + width or first + width <= first:
        # So far from zero, for so narrow a range, that round numbers cannot be told apart.
        return np.linspace(low, high, _BINS + 1) if high > low else np.array([low, np.nextafter(low, np.inf)])
    bins = math.floor((high - first) / width) + 1
    # A last value that stands on an edge needs no bin of its own, unless bins are single whole numbers.
    bins -= 1 if bins > 1 and not whole and first + (bins - 1) * width >= high else 0
    return np.asarray(first + width * np.arange(bins + 1), dtype=np.float64)


def _round_width(least: float, *, whole: bool) -> float:
    """Return the least round number that is not below `least`, and a whole one where values are whole."""
    magnitude = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    width = next(step * magnitude for step in _STEPS if step * magnitude >= least * (1 - 1e-9))
    return float(math.ceil(max(width, 1.0))) if whole else width
