"""What a column holds, counted: a few kilobytes that stand for its rows, and other rows counted in the same cells."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

#: Cells of equal size of a numeric column, and where there are finer ones at both ends.
CELLS = 128
_ENDS = (0.0005, 0.002)
#: Different values that a column may have to be counted by value; one that has more is text.
MOST_VALUES = 1_000
#: New values that are kept by name.
_NAMED = 1_000
#: Places into which words are hashed, and words that are kept by name.
BUCKETS, WORDS = 1_024, 200
#: Weights of the statistic's distribution that are kept; the rest is small.
_WEIGHTS = 60


class Numeric(msgspec.Struct, frozen=True, kw_only=True, tag="numeric"):
    """A column of numbers in cells: a cell reaches from one edge (without it) to the next (with it)."""

    rows: int
    #: Rows without a value, or with NaN.
    missing: int
    #: Upper ends of all cells but the last, rising: float64 of shape (cells - 1,).
    edges: np.ndarray
    #: Rows in each cell: int64 of shape (cells,).
    counts: np.ndarray
    #: Least and largest value; NaN: there is none.
    low: float
    high: float
    #: The three quartiles: float64 of shape (3,).
    quartiles: np.ndarray
    #: Weights of the chi-squares that the distance from these cells is a sum of, where nothing has changed.
    weights: np.ndarray
    #: Of rows counted in another's cells: how many lie below and above all that the other has seen.
    below: int = 0
    above: int = 0

    @property
    def known(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing


class Category(msgspec.Struct, frozen=True, kw_only=True, tag="category"):
    """A column of few different values."""

    rows: int
    missing: int
    #: The values, the commonest first, and the rows of each: int64 of the same length.
    values: tuple[str, ...]
    counts: np.ndarray
    #: Of rows counted by another's values: the commonest values that the other has not, with their rows.
    fresh: tuple[tuple[str, int], ...] = ()
    #: How many such values there are, the rows of all of them, and how many of them are there once.
    fresh_values: int = 0
    fresh_rows: int = 0
    fresh_once: int = 0

    @property
    def known(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    """A column of texts: how long they are, and in how many of them a word is."""

    rows: int
    missing: int
    #: Lengths in characters.
    length: Numeric
    #: Rows that have a word of each bucket: int64 of shape (1024,).
    words: np.ndarray
    #: The commonest words and the rows that have each.
    named: dict[str, int]

    @property
    def known(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing


Column = Numeric | Category | Text


def learn(series: pl.Series) -> Column:
    """Summarise a column of what is to be compared with: numbers, booleans or texts.

    >>> learn(pl.Series([3.0, 1.0, None, 2.0])).quartiles.tolist()
    [1.0, 2.0, 3.0]
    """
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return _numbers(*_sorted(series))
    texts = _texts(series)
    counted = texts.drop_nulls().value_counts(sort=True)
    most = min(MOST_VALUES, max(50, len(series) // 2))
    if counted.height > most:
        return _text(texts, None)
    names = counted.to_series(0).to_list()
    return Category(
        rows=len(series),
        missing=texts.null_count(),
        values=tuple(names),
        counts=counted["count"].cast(pl.Int64).to_numpy().copy(),
    )


def count(series: pl.Series, reference: Column) -> Column:
    """Count other rows in the cells, or by the values, of a reference."""
    if isinstance(reference, Numeric):
        if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
            series = series.cast(pl.String).cast(pl.Float64, strict=False)
        return _counted(*_sorted(series), reference)
    if isinstance(reference, Text):
        return _text(_texts(series), reference)
    return _by_value(_texts(series), reference)


def merged(one: Column, other: Column) -> Column:
    """Add up two stretches of rows that were counted by the same reference, without reading them again.

    Quartiles are those of the cells then.

    Raises:
        ValueError: they were counted by different references.
    """
    if isinstance(one, Numeric) and isinstance(other, Numeric) and np.array_equal(one.edges, other.edges):
        return _together(one, other)
    if isinstance(one, Category) and isinstance(other, Category) and one.values == other.values:
        fresh = _added(dict(one.fresh), dict(other.fresh))
        return msgspec.structs.replace(
            one,
            rows=one.rows + other.rows,
            missing=one.missing + other.missing,
            counts=one.counts + other.counts,
            fresh=tuple(sorted(fresh.items(), key=lambda pair: -pair[1])[:_NAMED]),
            fresh_values=max(one.fresh_values, other.fresh_values, len(fresh)),
            fresh_rows=one.fresh_rows + other.fresh_rows,
            fresh_once=sum(rows == 1 for rows in fresh.values()),
        )
    if isinstance(one, Text) and isinstance(other, Text):
        named = _added(one.named, other.named)
        return Text(
            rows=one.rows + other.rows,
            missing=one.missing + other.missing,
            length=_together(one.length, other.length),
            words=one.words + other.words,
            named=dict(sorted(named.items(), key=lambda pair: -pair[1])[:WORDS]),
        )
    msg = "Only stretches that were counted by the same reference can be added up."
    raise ValueError(msg)


def _together(one: Numeric, other: Numeric) -> Numeric:
    counts = one.counts + other.counts
    ends = np.array([*one.edges, np.fmax(one.high, other.high)])
    places = np.searchsorted(np.cumsum(counts), np.array([0.25, 0.5, 0.75]) * counts.sum())
    return msgspec.structs.replace(
        one,
        rows=one.rows + other.rows,
        missing=one.missing + other.missing,
        counts=counts,
        low=float(np.fmin(one.low, other.low)),
        high=float(np.fmax(one.high, other.high)),
        quartiles=ends[np.minimum(places, len(ends) - 1)],
        below=one.below + other.below,
        above=one.above + other.above,
    )


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one | other}


def _sorted(series: pl.Series) -> tuple[Any, int]:
    """Return the values in rising order, without the missing ones, and how many rows there are."""
    rows = len(series)
    if series.dtype == pl.Boolean or series.dtype.is_decimal():
        series = series.cast(pl.Float64)
    values = series.drop_nulls().to_numpy() if series.null_count() else series.to_numpy()
    values = np.sort(values)
    if values.dtype.kind == "f":  # NaN stands last
        values = values[: np.searchsorted(values, np.nan)] if len(values) and np.isnan(values[-1]) else values
    return values, rows


def _numbers(values: Any, rows: int) -> Numeric:
    edges = _edges(values)
    counts = _cells(values, edges)
    return Numeric(
        rows=rows,
        missing=rows - len(values),
        edges=edges,
        counts=counts,
        low=float(values[0]) if len(values) else float("nan"),
        high=float(values[-1]) if len(values) else float("nan"),
        quartiles=_quartiles(values),
        weights=weights_of(counts),
    )


def _counted(values: Any, rows: int, reference: Numeric) -> Numeric:
    some = len(values) > 0 and reference.known > 0
    return Numeric(
        rows=rows,
        missing=rows - len(values),
        edges=reference.edges,
        counts=_cells(values, reference.edges),
        low=float(values[0]) if len(values) else float("nan"),
        high=float(values[-1]) if len(values) else float("nan"),
        quartiles=_quartiles(values),
        weights=np.empty(0),
        below=int(np.searchsorted(values, reference.low, side="left")) if some else 0,
        above=len(values) - int(np.searchsorted(values, reference.high, side="right")) if some else 0,
    )


def _edges(values: Any) -> Floats:
    """Return the edges of the cells: every value where there are few, else values at equal shares of the rows."""
    if not len(values):
        return np.empty(0)
    new = np.flatnonzero(np.diff(values)) if len(values) > 1 else np.empty(0, dtype=np.int64)
    if len(new) < CELLS:
        return np.asarray(values[new], dtype=np.float64)
    shares = np.unique([*_ENDS, *(np.arange(1, CELLS) / CELLS), *(1 - np.array(_ENDS))])
    edges = np.unique(values[np.floor(shares * len(values)).astype(np.int64)].astype(np.float64))
    return edges[edges < float(values[-1])]


def _cells(values: Any, edges: Floats) -> Counts:
    if not len(edges):
        return np.array([len(values)], dtype=np.int64)
    # Integers beyond 2^53 and float32 are compared as what they are: edges are values of the column.
    reached = np.searchsorted(
        values, edges.astype(values.dtype) if values.dtype.kind == "f" else edges, side="right"
    )
    return np.diff(np.concatenate([[0], reached, [len(values)]])).astype(np.int64)


def _quartiles(values: Any) -> Floats:
    if not len(values):
        return np.full(3, np.nan)
    places = (np.array([0.25, 0.5, 0.75]) * (len(values) - 1)).round().astype(np.int64)
    return np.asarray(values[places], dtype=np.float64)


def shares(counts: Counts) -> tuple[Floats, Floats]:
    """Return the share of rows up to each edge, and how much each edge weighs in the distance: float64 of (cells - 1,).

    An edge weighs as much as the cells beside it hold, the smaller of two unlike ones deciding: a rare value beside a
    common one would else decide by a handful of rows.
    """
    mass = counts / max(1, counts.sum())
    either = mass[:-1] + mass[1:]
    weight = np.divide(2 * mass[:-1] * mass[1:], either, out=np.zeros_like(either), where=either > 0)
    return np.cumsum(mass)[:-1], weight


def weights_of(counts: Counts) -> Floats:
    """Return the weights of the chi-squares whose sum is the distance of rows like these, largest first.

    The distance is Anderson and Darling's (1954) over cells; the weights are the eigenvalues of its covariance, for
    many equal cells 1/2, 1/6, 1/12, …
    """
    mass = counts / max(1, counts.sum())
    return _weights(tuple(np.round(mass, 4).tolist())).copy()


@lru_cache(maxsize=256)
def _weights(mass: tuple[float, ...]) -> Floats:
    at, weight = shares(np.array(mass))
    inside = (at > 0) & (at < 1 - 1e-9) & (weight > 0)
    at, weight = at[inside], weight[inside]
    if not len(at):
        return np.empty(0)
    scale = np.sqrt(weight / (at * (1 - at)))
    covariance = np.minimum.outer(at, at) * (1 - np.maximum.outer(at, at))
    found = np.linalg.eigvalsh(scale[:, None] * covariance * scale[None, :])[::-1]
    return np.maximum(found, 0.0)[:_WEIGHTS]


def _texts(series: pl.Series) -> pl.Series:
    texts = series if series.dtype == pl.String else series.cast(pl.String)
    return texts.set(texts == "", None) if (texts == "").any() else texts


def _by_value(texts: pl.Series, reference: Category) -> Category:
    counted = texts.drop_nulls().value_counts()
    found = dict(zip(counted.to_series(0).to_list(), counted["count"].to_list(), strict=True))
    counts = np.array([found.pop(value, 0) for value in reference.values], dtype=np.int64)
    fresh = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return Category(
        rows=len(texts),
        missing=texts.null_count(),
        values=reference.values,
        counts=counts,
        fresh=tuple(fresh[:_NAMED]),
        fresh_values=len(fresh),
        fresh_rows=sum(rows for _, rows in fresh),
        fresh_once=sum(rows == 1 for _, rows in fresh),
    )


def _text(texts: pl.Series, reference: Text | None) -> Text:
    known = texts.drop_nulls()
    found = (
        known.str.to_lowercase()
        .str.extract_all(r"\w+")
        .list.unique()
        .alias("word")
        .to_frame()
        .with_row_index("row")
        .explode("word", empty_as_null=True)
        .drop_nulls("word")
    )
    common = found["word"].value_counts().sort(["count", "word"], descending=[True, False]).head(WORDS)
    lengths, rows = _sorted(known.str.len_chars().cast(pl.Float64))
    return Text(
        rows=len(texts),
        missing=texts.null_count(),
        length=_numbers(lengths, rows) if reference is None else _counted(lengths, rows, reference.length),
        words=_hashed(found),
        named=dict(zip(common["word"].to_list(), common["count"].to_list(), strict=True)),
    )


def bucket(word: str) -> int:
    """Return the place of a word: CRC-32, which is the same everywhere and for ever."""
    return zlib.crc32(word.encode()) % BUCKETS


def _hashed(found: pl.DataFrame) -> Counts:
    """Return in how many rows there is a word of each bucket; `found` has a row for each word of each row."""
    words = found["word"].unique()
    places = pl.DataFrame(
        {"word": words, "place": [bucket(word) for word in words]}, schema_overrides={"place": pl.Int64}
    )
    once = found.join(places, on="word").select("row", "place").unique()
    counts = np.zeros(BUCKETS, dtype=np.int64)
    counted = once["place"].value_counts()
    counts[counted["place"].to_numpy()] = counted["count"].to_numpy()
    return counts
