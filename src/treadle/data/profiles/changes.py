"""Changes: how far the rows that came after a version are from the rows of that version, column by column.

A later version holds the earlier one's rows, so the two as wholes differ little whatever came; compared are the earlier
version and what came after it. Both are counted in the same bins (a missing value is one), and the distance is that of
Jensen and Shannon (Lin, 1991), which is at most 1 and needs no correction for empty bins. Even if nothing changed, two
finite samples lie apart: eight times the divergence, scaled by the rows, is then distributed as chi-squared, and the floor
is its quantile at 1 % over all columns together. Rows that come in clumps (one day, one customer) can exceed it by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Literal

import numpy as np
import polars as pl

from treadle.data.profiles import words
from treadle.data.profiles.columns import numbers
from treadle.data.profiles.histogram import Floats
from treadle.data.profiles.records import Change, ColumnProfile

#: A distance that matters, where chance does not explain it.
CLEAR = 0.1
_LEVEL = 0.01
_BINS = 20
_CATEGORIES = 30
#: Texts with more different values than that are not listed as new.
_FEW = 1_000
_NEW_SHARE = 0.002
#: A value counts as new if so many rows of it were expected among those before.
_EXPECTED = 20
_LEAST_ROWS = 50
#: Added to a share in the stability index alone, which has no value for an empty bin.
_TINY = 1e-6


@dataclass(frozen=True)
class Binned:
    """Two samples counted in the same bins; the last one holds the missing values."""

    labels: tuple[str, ...]
    before: Floats
    after: Floats


def changes(
    before: pl.DataFrame, after: pl.DataFrame, columns: Sequence[ColumnProfile]
) -> tuple[Change, ...]:
    """Return the change of each column that both samples have and that can be compared, largest distance first."""
    if min(before.height, after.height) < _LEAST_ROWS:
        return ()
    compared = [column for column in columns if column.name in before.columns and _comparable(column)]
    found = [
        _change(column, before[column.name], after[column.name], level=_LEVEL / len(compared))
        for column in compared
    ]
    return tuple(sorted(found, key=lambda one: (-one.distance, one.column)))


def _comparable(column: ColumnProfile) -> bool:
    """Keys differ and moments move on: that is no change."""
    return column.kind in {"int", "float", "bool", "str"} and not {"key", "time", "arrived"} & {*column.roles}


def _change(column: ColumnProfile, before: pl.Series, after: pl.Series, *, level: float) -> Change:
    # An outcome is missing until it comes: that it has not come yet for what came last is no change.
    if "outcome" in column.roles:
        before, after = before.drop_nulls(), after.drop_nulls()
    binned = _words(before, after) if column.kind in {"bool", "str"} else _numbers(before, after)
    first, second = _shares(binned.before), _shares(binned.after)
    distance = _distance(first, second)
    floor = _floor(binned, level=level)
    clear = "clear" if distance >= CLEAR else "slight"
    verdict: Literal["chance", "slight", "clear"] = "chance" if distance <= floor else clear  # type: ignore[assignment]
    return Change(
        column=column.name,
        distance=distance,
        floor=floor,
        psi=float(np.sum((second - first) * np.log((second + _TINY) / (first + _TINY)))),
        verdict=verdict,
        missing_before=float(first[-1]),
        missing_after=float(second[-1]),
        labels=binned.labels,
        before=tuple(first.tolist()),
        after=tuple(second.tolist()),
        new_values=tuple(_new(before, after)) if column.kind == "str" and column.distinct <= _FEW else (),
    )


def _shares(counts: Floats) -> Floats:
    return np.asarray(counts / max(float(counts.sum()), 1.0))


def _distance(first: Floats, second: Floats) -> float:
    middle = (first + second) / 2
    return math.sqrt(max(0.0, (_divergence(first, middle) + _divergence(second, middle)) / 2))


def _divergence(shares: Floats, of: Floats) -> float:
    """Return the divergence of Kullback and Leibler in bits."""
    used = shares > 0
    return float(np.sum(shares[used] * np.log2(shares[used] / of[used])))


def _floor(binned: Binned, *, level: float) -> float:
    """Return the distance that two samples of one distribution stay below, but for a share `level` of the time."""
    rows_before, rows_after = binned.before.sum(), binned.after.sum()
    freedom = int(np.sum(binned.before + binned.after > 0)) - 1
    if freedom < 1 or not rows_before or not rows_after:
        return 0.0
    # Wilson and Hilferty's approximation to the quantile of chi-squared.
    ninth = 2 / (9 * freedom)
    quantile = freedom * (1 - ninth + NormalDist().inv_cdf(1 - level) * math.sqrt(ninth)) ** 3
    return math.sqrt(quantile * (1 / rows_before + 1 / rows_after) / (8 * math.log(2)))


def _numbers(before: pl.Series, after: pl.Series) -> Binned:
    """Count in bins that hold about as many rows each."""
    cells = [numbers(values) for values in (before, after)]
    both = np.concatenate(cells)
    both = both[~np.isnan(both)]
    edges = np.unique(both)
    if len(edges) > _BINS:
        edges = np.unique(np.quantile(both, np.linspace(0, 1, _BINS + 1)[1:-1], method="lower"))
    counted = []
    for values in cells:
        known = values[~np.isnan(values)]
        places = np.searchsorted(edges, known, side="right")
        counts = np.bincount(places, minlength=len(edges) + 1).astype(np.float64)
        counted.append(np.append(counts, len(values) - len(known)))
    return Binned(tuple(_edge_labels(edges.tolist())), counted[0], counted[1])


def _edge_labels(edges: Sequence[float]) -> Iterator[str]:
    written = [words.number(edge) for edge in edges]
    if written:
        yield f"below {written[0]}"
        yield from (f"{low} to below {high}" for low, high in pairwise(written))
        yield f"{written[-1]} and above"
    else:
        yield "any"
    yield "no value"


def _words(before: pl.Series, after: pl.Series) -> Binned:
    """Count the commonest values one by one, and the others together."""
    counts = [_counted(values) for values in (before, after)]
    rows = [max(sum(found.values()), 1) for found in counts]
    shares = {
        value: sum(found.get(value, 0) / total for found, total in zip(counts, rows, strict=True))
        for value in {**counts[0], **counts[1]}
    }
    common = sorted(shares, key=lambda value: (-shares[value], value))[:_CATEGORIES]
    counted = []
    for found, values in zip(counts, (before, after), strict=True):
        named = [found.get(value, 0) for value in common]
        counted.append(
            np.array([*named, sum(found.values()) - sum(named), values.null_count()], dtype=np.float64)
        )
    return Binned((*common, "all others", "no value"), counted[0], counted[1])


def _counted(values: pl.Series) -> dict[str, int]:
    counts = values.drop_nulls().cast(pl.String).rename("value").value_counts(name="rows")
    return dict(counts.rows())


def _new(before: pl.Series, after: pl.Series) -> Iterator[tuple[str, float]]:
    """Return texts that are new: not by chance unseen before, and not so rare that nobody cares."""
    seen, found = _counted(before), _counted(after)
    rows = max(len(after), 1)
    for value, count in sorted(found.items(), key=lambda one: (-one[1], one[0])):
        share = count / rows
        if value not in seen and share >= _NEW_SHARE and share * len(before) >= _EXPECTED:
            yield value, share
