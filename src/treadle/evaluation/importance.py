"""How much a model owes to a column: how much worse it answers when the column's values are dealt out anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.evaluation import studentised
from treadle.evaluation.arrays import Floats
from treadle.evaluation.intervals import interval
from treadle.evaluation.lookups import By, columns_of
from treadle.evaluation.measures import Measure, metric
from treadle.evaluation.objective import Objective
from treadle.evaluation.pair import Pair, codes_of

#: One column, or several that are dealt out together.
Columns = str | Sequence[str]


def importance(
    predict: Callable[[pl.DataFrame], npt.ArrayLike],
    frame: pl.DataFrame,
    y: npt.ArrayLike,
    *,
    on: str | Objective | Measure,
    columns: Sequence[Columns] | None = None,
    by: By = None,
    groups: npt.NDArray[np.generic] | None = None,
    repeats: int = 5,
    alpha: float = 0.05,
    seed: int = 0,
) -> pl.DataFrame:
    """Return how much worse a metric gets without each column (permutation importance; Breiman, 2001).

    `predict` answers a frame, `y` are the outcomes. Rows are compared in pairs, before and after, so each importance has
    an interval: `column`, `slice`, `importance`, `low`, `high`, `rows`, most important first, in the metric's unit. With
    `by`, values are dealt out within each slice, and each is told beside the whole (`slice` empty). Columns that say
    the same hide each other: deal them out together, as `columns=[("temp", "dewpoint"), "wind"]`.

    >>> frame = pl.DataFrame({"a": np.arange(400) % 7, "b": np.arange(400) % 3})
    >>> found = importance(lambda rows: rows["a"] * 2.0, frame, frame["a"] * 2.0 + frame["b"], on="mae")
    >>> found["column"].to_list(), found["importance"].round(1).to_list()
    (['a', 'b'], [3.7, 0.0])

    Raises:
        InvalidInput: a column is not there, or the metric refuses the answers.
    """
    given = on.measure if isinstance(on, Objective) else on
    measure = given if isinstance(given, Measure) else metric(given)
    outcomes = np.asarray(y, dtype=np.float64)
    sliced = columns_of(by, where="importance")
    asked = list(columns if columns is not None else [name for name in frame.columns if name not in sliced])
    _check(frame, [*asked, *sliced])
    divided = parts(frame, sliced)
    before = np.asarray(predict(frame), dtype=np.float64)
    random, rows = np.random.default_rng(seed), []
    for one in asked:
        names = [one] if isinstance(one, str) else list(one)
        after = [
            np.asarray(predict(_dealt(frame, names, divided, random)), dtype=np.float64)
            for _ in range(repeats)
        ]
        for name, inside in {"": np.arange(frame.height), **(divided if sliced else {})}.items():
            lost, low, high = _lost(
                [
                    Pair(
                        measure=measure,
                        y=outcomes[inside],
                        first=p[inside],
                        second=before[inside],
                        groups=None if groups is None else groups[inside],
                    )
                    for p in after
                ],
                alpha,
            )
            told = {"column": ", ".join(names), "slice": name, "importance": lost, "low": low, "high": high}
            rows.append({**told, "rows": len(inside)})
    return pl.DataFrame(rows).sort("slice", pl.col("importance").neg(), maintain_order=True)


def _check(frame: pl.DataFrame, asked: Sequence[Columns]) -> None:
    for name in (name for one in asked for name in ([one] if isinstance(one, str) else one)):
        if name not in frame.columns:
            msg = f"There is no column {name!r} to deal out. {closest(name, frame.columns)}"
            raise InvalidInput(msg, field="columns")


def parts(frame: pl.DataFrame, by: tuple[str, ...]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the rows of each slice by name; without columns to slice by, all rows."""
    if not by:
        return {"": np.arange(frame.height)}
    texts = [pl.format(f"{name}={{}}", pl.col(name).cast(pl.String).fill_null("none")) for name in by]
    names = frame.select(pl.concat_str(texts, separator=", ").alias("slice"))["slice"]
    codes = codes_of(names.to_numpy())
    return {
        names[int(np.argmax(codes == code))]: np.flatnonzero(codes == code) for code in range(codes.max() + 1)
    }


def _dealt(
    frame: pl.DataFrame,
    names: list[str],
    parts: dict[str, npt.NDArray[np.int64]],
    random: np.random.Generator,
) -> pl.DataFrame:
    places = np.arange(frame.height)
    for inside in parts.values():
        places[inside] = random.permutation(inside)
    return frame.with_columns(frame.select(names)[places])


def _lost(pairs: list[Pair], alpha: float) -> tuple[float, float, float]:
    """Return the loss, on average of the repeats, and its ends: each row's influence is that of all repeats together."""
    influences = [pair.influence for pair in pairs]
    if any(values is None for values in influences):
        found = interval(pairs[0], alpha=alpha)
        lost, low, high = found.difference, found.low, found.high
    else:
        lost = float(np.mean([pair.difference for pair in pairs]))
        low, high = _ends(pairs[0], lost, np.mean(np.stack(_given(influences)), axis=0), alpha)
    return (0.0 - lost, 0.0 - high, 0.0 - low) if pairs[0].measure.greater_is_better else (lost, low, high)


def _ends(pair: Pair, lost: float, values: Floats, alpha: float) -> tuple[float, float]:
    if not values.any():
        return lost, lost
    return studentised.around(lost, studentised.moments(pair, values), alpha=alpha)


def _given(influences: list[Any]) -> list[Floats]:
    return [values for values in influences if values is not None]
