"""A small model of how large errors are, from inputs and predictions: boosted trees over binned columns, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]

#: Trees, their depth, how much of each is taken, and the rows that a leaf needs.
_TREES, _DEPTH, _RATE, _LEAF = 60, 3, 0.1, 20
#: Bins of a column; the first one is of what is missing.
_BINS = 32


class Binned(msgspec.Struct, frozen=True, kw_only=True):
    """How the values of a column become bins."""

    name: str
    #: Upper ends of the bins of numbers: float64.
    edges: np.ndarray
    #: Of categories: value → bin; empty: it holds numbers.
    places: dict[str, int] = {}


class Boosted(msgspec.Struct, frozen=True, kw_only=True):
    """A fitted model. A row goes down a tree by whether its bin lies above the split's, to the left if not."""

    columns: tuple[Binned, ...]
    start: float
    #: For each tree and inner node, level by level: the column and the bin; int64 of shape (trees * nodes,).
    feature: np.ndarray
    bins: np.ndarray
    #: For each tree and leaf what is added: float64 of shape (trees * leaves,).
    leaves: np.ndarray

    def predict(self, frame: pl.DataFrame) -> Floats:
        """Return the expected value for each row: float64 of shape (rows,)."""
        codes = np.stack([_coded(column, frame) for column in self.columns]) if self.columns else None
        found = np.full(frame.height, self.start)
        inner, outer = 2**_DEPTH - 1, 2**_DEPTH
        if codes is None:
            return found
        rows = np.arange(frame.height)
        for tree in range(len(self.leaves) // outer):
            node = np.zeros(frame.height, dtype=np.int64)
            for _ in range(_DEPTH):
                at = tree * inner + node
                node = 2 * node + 1 + (codes[self.feature[at], rows] > self.bins[at])
            found += self.leaves[tree * outer + node - inner]
        return found


def fit(frame: pl.DataFrame, target: Floats, *, columns: Sequence[str], trees: int = _TREES) -> Boosted:
    """Fit least squares to a target of shape (rows,), from some columns.

    Categories are put in the order of their mean target, which makes a split of them a split of numbers (Fisher, 1958).
    """
    binned = tuple(_binned(frame[name], target) for name in columns)
    codes = [_coded(column, frame) for column in binned]
    start = float(target.mean())
    rest, feature, bins, leaves = target - start, [], [], []
    for _ in range(trees if codes and len(target) >= 2 * _LEAF else 0):
        grown = _tree(codes, rest)
        feature.append(grown[0])
        bins.append(grown[1])
        leaves.append(_RATE * grown[2])
        rest = rest - _RATE * grown[2][grown[3]]
    empty = np.empty(0, dtype=np.int64)
    return Boosted(
        columns=binned,
        start=start,
        feature=np.concatenate(feature) if feature else empty,
        bins=np.concatenate(bins) if bins else empty,
        leaves=np.concatenate(leaves) if leaves else np.empty(0),
    )


def _tree(
    codes: Sequence[npt.NDArray[np.int64]], rest: Floats
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats, npt.NDArray[np.int64]]:
    """Return one tree's columns, bins and leaves, and the leaf of each row."""
    inner, outer = 2**_DEPTH - 1, 2**_DEPTH
    feature, bins = np.zeros(inner, dtype=np.int64), np.full(inner, _BINS, dtype=np.int64)
    node = np.zeros(len(rest), dtype=np.int64)
    for level in range(_DEPTH):
        first, many = 2**level - 1, 2**level
        best = np.zeros(many)
        for place, code in enumerate(codes):
            cells = (node - first) * (_BINS + 1) + code
            size = np.bincount(cells, minlength=many * (_BINS + 1)).reshape(many, -1).cumsum(axis=1)
            total = (
                np.bincount(cells, weights=rest, minlength=many * (_BINS + 1))
                .reshape(many, -1)
                .cumsum(axis=1)
            )
            gain = _gain(size, total)
            chosen = gain.argmax(axis=1)
            better = gain[np.arange(many), chosen] > best
            best = np.where(better, gain[np.arange(many), chosen], best)
            feature[first : first + many][better] = place
            bins[first : first + many][better] = chosen[better]
        above = np.zeros(len(rest), dtype=np.int64)
        for place, code in enumerate(codes):
            here = feature[node] == place
            above[here] = code[here] > bins[node[here]]
        node = 2 * node + 1 + above
    leaf = node - inner
    size = np.bincount(leaf, minlength=outer)
    mean = np.bincount(leaf, weights=rest, minlength=outer) / np.maximum(size, 1)
    return feature, bins, mean, leaf


def _gain(size: npt.NDArray[np.int64], total: Floats) -> Floats:
    """Return by how much the squares fall where a node is split after each bin; 0 where a side has too few rows."""
    left, right = size, size[:, -1:] - size
    fair = (left >= _LEAF) & (right >= _LEAF)
    rest = total[:, -1:] - total
    gain = (
        total**2 / np.maximum(left, 1)
        + rest**2 / np.maximum(right, 1)
        - total[:, -1:] ** 2 / np.maximum(size[:, -1:], 1)
    )
    return np.where(fair, gain, 0.0)


def _binned(series: pl.Series, target: Floats) -> Binned:
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        values = series.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        shares = np.arange(1, _BINS) / _BINS
        edges = np.unique(np.quantile(values, shares)) if len(values) else np.empty(0)
        return Binned(name=series.name, edges=edges)
    means = (
        pl.DataFrame({"value": series.cast(pl.String), "target": target})
        .drop_nulls("value")
        .group_by("value")
        .agg(pl.len().alias("rows"), pl.col("target").sum())
        .with_columns(((pl.col("target") + 10 * target.mean()) / (pl.col("rows") + 10)).alias("mean"))
        .sort("mean", "value")
    )
    before = np.cumsum(means["rows"].to_numpy()) - means["rows"].to_numpy()
    places = 1 + (before * (_BINS - 1)) // max(1, int(means["rows"].sum()))
    return Binned(
        name=series.name,
        edges=np.empty(0),
        places=dict(zip(means["value"].to_list(), places.tolist(), strict=True)),
    )


def _coded(column: Binned, frame: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return the bin of each row, 0 for what is missing or was never seen."""
    if column.name not in frame.columns:
        return np.zeros(frame.height, dtype=np.int64)
    series = frame[column.name]
    if column.places:
        texts = series.cast(pl.String)
        known = pl.DataFrame({"value": list(column.places), "place": list(column.places.values())})
        joined = texts.alias("value").to_frame().join(known, on="value", how="left", maintain_order="left")
        return joined["place"].fill_null(0).to_numpy().astype(np.int64)
    values = series.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    found = 1 + np.searchsorted(column.edges, values, side="left")
    return np.where(np.isnan(values), 0, found).astype(np.int64)
