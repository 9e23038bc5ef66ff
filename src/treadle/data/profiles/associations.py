"""Associations: how strongly each pair of columns goes together, numbers and categories alike.

Numbers with numbers: Spearman's rank correlation (and Pearson's). Categories with categories: Cramér's V, corrected for
chance (Bergsma, 2013). A number with a category: the correlation ratio, corrected likewise (epsilon squared, Kelley 1935).
Each pair is taken on the rows that have both values; ranks are those among all rows that have the one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.data.profiles.columns import numbers
from treadle.data.profiles.histogram import Floats
from treadle.data.profiles.records import Associations, ColumnProfile

Codes = npt.NDArray[np.int64]

MOST_COLUMNS = 40
MOST_ROWS = 100_000
#: Categories beyond the commonest so many are one.
_MOST_CATEGORIES = 50
_LEAST_ROWS = 30


def associations(sample: pl.DataFrame, columns: Sequence[ColumnProfile]) -> Associations | None:
    """Return the associations of the columns that vary and repeat; None where there are not two of them."""
    fit = [column for column in columns if _fits(column)]
    # The outcome is what people look for: it is never the one that is left out.
    kept = {column.name for column in sorted(fit, key=lambda one: "outcome" not in one.roles)[:MOST_COLUMNS]}
    chosen = [column for column in fit if column.name in kept]
    if len(chosen) < 2:
        return None
    rows = sample.head(MOST_ROWS)
    numeric = [column.kind != "str" for column in chosen]
    cells = {place: numbers(rows[column.name]) for place, column in enumerate(chosen) if numeric[place]}
    codes = {
        place: _categories(rows[column.name]) for place, column in enumerate(chosen) if not numeric[place]
    }
    ranks = {place: _ranks(rows[chosen[place].name]) for place in cells}
    strength = np.full((len(chosen), len(chosen)), np.nan)
    pearson = strength.copy()
    _fill(pearson, list(cells), _correlations(list(cells.values())))
    _fill(strength, list(cells), _correlations(list(ranks.values())))
    for first in codes:
        for second in range(len(chosen)):
            if second in cells:
                found = _correlation_ratio(codes[first], cells[second])
            elif second >= first:
                found = 1.0 if second == first else _cramers_v(codes[first], codes[second])
            else:
                continue
            strength[first, second] = strength[second, first] = found
    return Associations(
        columns=tuple(column.name for column in chosen),
        numeric=tuple(numeric),
        strength=_plain(strength),
        pearson=_plain(pearson),
        rows=rows.height,
        left_out=tuple(column.name for column in fit if column.name not in kept),
    )


def _fits(column: ColumnProfile) -> bool:
    if column.distinct < 2 or column.kind == "other" or {"key", "arrived"}.intersection(column.roles):
        return False
    # Text of which hardly any value occurs twice has no association to speak of.
    return column.kind != "str" or column.distinct <= 1_000


def _ranks(values: pl.Series) -> Floats:
    return numbers(values.rank("average"))


def _categories(values: pl.Series) -> Codes:
    """Return codes from 0 of the commonest values; -1 is missing."""
    text = values.cast(pl.String)
    counts = text.drop_nulls().rename("value").value_counts(name="rows")
    counts = counts.sort("rows", "value", descending=[True, False])
    common = counts.head(_MOST_CATEGORIES).with_row_index("code")
    codes = text.replace_strict(common["value"], common["code"], default=len(common), return_dtype=pl.Int64)
    rest = pl.select(pl.when(text.is_null()).then(-1).otherwise(codes)).to_series()
    return rest.to_numpy().astype(np.int64)


def _correlations(columns: Sequence[Floats]) -> Floats:
    """Return the correlation of each pair on the rows where both are known, by products of whole matrices."""
    if not columns:
        return np.empty((0, 0))
    cells = np.column_stack(columns)
    known = ~np.isnan(cells)
    mask = known.astype(np.float64)
    total = np.maximum(mask.sum(axis=0), 1)
    centred = np.where(known, cells - np.where(known, cells, 0).sum(axis=0) / total, 0.0)
    scale = np.sqrt((centred**2).sum(axis=0) / total)
    centred /= np.where(scale > 0, scale, 1)
    rows = mask.T @ mask
    sums = centred.T @ mask
    squares = (centred**2).T @ mask
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = (centred.T @ centred) / rows - (sums / rows) * (sums.T / rows)
        variance = squares / rows - (sums / rows) ** 2
        found = covariance / np.sqrt(variance * variance.T)
    flat = (variance < 1e-12) | (variance.T < 1e-12) | (rows < _LEAST_ROWS)
    return np.where(flat, np.nan, np.clip(found, -1, 1))


def _correlation_ratio(codes: Codes, cells: Floats) -> float:
    """Return how much of a number's spread its category explains, as a correlation: the root of epsilon squared."""
    known = (codes >= 0) & ~np.isnan(cells)
    rows = int(known.sum())
    if rows < _LEAST_ROWS:
        return float("nan")
    values, groups = cells[known], codes[known]
    counts = np.bincount(groups)
    sums = np.bincount(groups, weights=values - values.mean())
    used = counts > 0
    total = float(np.sum((values - values.mean()) ** 2))
    categories = int(used.sum())
    if total <= 0 or categories < 2 or rows <= categories:
        return float("nan")
    between = float(np.sum(sums[used] ** 2 / counts[used]))
    return float(np.sqrt(max(0.0, 1 - (1 - between / total) * (rows - 1) / (rows - categories))))


def _cramers_v(first: Codes, second: Codes) -> float:
    """Return Cramér's V without its bias: 0 for independent categories, whatever their number."""
    known = (first >= 0) & (second >= 0)
    rows = int(known.sum())
    if rows < _LEAST_ROWS:
        return float("nan")
    width = int(second.max()) + 1
    table = np.bincount(first[known] * width + second[known], minlength=(int(first.max()) + 1) * width)
    seen = table.reshape(-1, width).astype(np.float64)
    seen = seen[seen.sum(axis=1) > 0][:, seen.sum(axis=0) > 0]
    r, k = seen.shape
    if min(r, k) < 2:
        return float("nan")
    expected = seen.sum(axis=1, keepdims=True) * seen.sum(axis=0, keepdims=True) / rows
    phi = float(np.sum((seen - expected) ** 2 / expected)) / rows - (k - 1) * (r - 1) / (rows - 1)
    room = min(k - (k - 1) ** 2 / (rows - 1), r - (r - 1) ** 2 / (rows - 1)) - 1
    return min(1.0, float(np.sqrt(max(0.0, phi) / room))) if room > 0 else float("nan")


def _fill(matrix: Floats, places: Sequence[int], found: Floats) -> None:
    matrix[np.ix_(places, places)] = found


def _plain(matrix: Floats) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if np.isnan(cell) else round(float(cell), 4) for cell in row) for row in matrix)
