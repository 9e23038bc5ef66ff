"""Rows on which a wrong conversion shows: at and one step beside every split, missing values, unseen categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from treadle.core.signature import Field, Signature

Columns = Mapping[str, np.ndarray]
#: Split points tried, over all inputs.
_SPLITS = 2000
#: Most rows that one split point is tried in: few of them get as far as its node.
_ROWS_A_SPLIT = 50
_UNSEEN = "a category that training has not seen"


def boundary_rows(
    signature: Signature, columns: Columns, thresholds: Mapping[str, Sequence[float]], *, seed: int = 0
) -> dict[str, dict[str, np.ndarray]]:
    """Return variations of given rows by what was varied: `splits`, `missing` and `unseen`.

    Each row differs from a given one in a single input. Groups without a row are left out.
    """
    rng = np.random.default_rng(seed)
    share = max(1, _SPLITS // max(1, len(thresholds)))
    tries: dict[str, list[tuple[Field, np.ndarray]]] = {"splits": [], "missing": [], "unseen": []}
    for field in signature.inputs:
        if field.tensor == "string":
            tries["unseen"].append((field, np.array([_UNSEEN], dtype=object)))
            if field.nullable:
                tries["missing"].append((field, np.array([""], dtype=object)))
            continue
        points = np.unique(np.asarray(thresholds.get(field.name, ()), dtype=np.float64))
        if len(points) > share:
            points = rng.choice(points, share, replace=False)
        elif len(points):
            points = np.repeat(points, min(_ROWS_A_SPLIT, share // len(points)))
        tries["splits"].append((field, _beside(field, points)))
        if field.nullable and field.tensor == "float32":
            tries["missing"].append((field, np.full(8, np.nan, dtype=np.float32)))
    made = {name: _varied(columns, group, rng) for name, group in tries.items()}
    return {name: rows for name, rows in made.items() if len(next(iter(rows.values())))}


def _beside(field: Field, points: np.ndarray) -> np.ndarray:
    """Return values of the input's type at each point and up to two steps on either side of it."""
    if field.tensor == "int64":
        whole = np.floor(points[np.abs(points) < 2**62]).astype(np.int64)
        return np.concatenate([whole + step for step in (-1, 0, 1, 2)])
    with np.errstate(over="ignore"):
        at = points.astype(np.float32)
        at = at[np.isfinite(at)]
        below, above = np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))
        further = np.nextafter(below, np.float32(-np.inf)), np.nextafter(above, np.float32(np.inf))
    beside = np.concatenate([at, below, above, *further])
    return np.asarray(beside[np.isfinite(beside)])


def _varied(
    columns: Columns, group: Sequence[tuple[Field, np.ndarray]], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    rows = len(next(iter(columns.values())))
    base = rng.integers(0, rows, sum(len(values) for _, values in group))
    varied = {name: values[base] for name, values in columns.items()}
    start = 0
    for field, values in group:
        varied[field.name][start : start + len(values)] = values
        start += len(values)
    return varied
