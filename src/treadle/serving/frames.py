"""Log entries as frames: one row for each prediction and for each outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Any

import msgspec
import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from treadle.serving.entries import Entry, OutcomeEntry, PredictionEntry

#: The columns of a table of predictions.
PREDICTIONS: dict[str, pl.DataType] = {
    #: The request's id and the row's number, as `01k…-0`; of a shadow with its variant, as `01k…-0~challenger`.
    "prediction_id": pl.String(),
    "request_id": pl.String(),
    "row": pl.Int64(),
    "endpoint": pl.String(),
    "revision": pl.Int64(),
    "model": pl.String(),
    "version": pl.Int64(),
    "variant": pl.String(),
    #: Why this variant answered.
    "assignment": pl.String(),
    "subject": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    #: The row's key columns, as JSON with sorted names.
    "key": pl.String(),
    #: The row's inputs, as JSON.
    "inputs": pl.String(),
    #: Null where it is text, as the name of a class.
    "prediction": pl.Float64(),
    #: Of the positive class; null for other tasks.
    "probability": pl.Float64(),
    #: Probability of the predicted class; null where there are no classes.
    "confidence": pl.Float64(),
    #: Seconds that the whole request took.
    "latency": pl.Float64(),
    #: The whole answer as JSON, as the caller got it; null where prediction and probability say it all.
    "outputs": pl.String(),
    #: How probable it was that this variant would be chosen for the request.
    "propensity": pl.Float64(),
    #: Whether it was made beside the answer, which another variant gave.
    "shadow": pl.Boolean(),
    #: The fraction of the requests that was logged when this one was.
    "sampled": pl.Float64(),
    #: answer, abstain, review or ask; null where nothing was to be decided.
    "decision": pl.String(),
}
#: What rows mean that were written before there was a column.
BEFORE: dict[str, float | bool] = {"propensity": 1.0, "shadow": False, "sampled": 1.0}
#: The columns of a table of outcomes.
OUTCOMES: dict[str, pl.DataType] = {
    "outcome_id": pl.String(),
    "endpoint": pl.String(),
    "prediction_id": pl.String(),
    "key": pl.String(),
    "value": pl.Float64(),
    #: When it was reported.
    "at": pl.Datetime("us", "UTC"),
    #: The value where it is text, as the name of a class.
    "text": pl.String(),
}
#: The column of both tables, beside these, that holds the version of the table with which a row came.
COMMIT = "_commit"

_AT_ONCE = 4096
_TEXT = msgspec.json.Encoder().encode


def tables_of(entries: Iterable[Entry]) -> dict[str, pl.DataFrame]:
    """Return the rows of entries by table: `predictions/<endpoint>` and `outcomes/<endpoint>`.

    Rows are made frames a few thousand at a time: as Python values they take ten times the memory.
    """
    waiting: dict[str, list[Any]] = {}
    rows: dict[str, int] = {}
    done: dict[str, list[pl.DataFrame]] = {}
    for entry in entries:
        if isinstance(entry, PredictionEntry):
            name, count = f"predictions/{entry.endpoint}", len(entry.predictions)
        else:
            name, count = f"outcomes/{entry.endpoint}", len(entry.values)
        waiting.setdefault(name, []).append(entry)
        rows[name] = rows.get(name, 0) + count
        if rows[name] >= _AT_ONCE:
            done.setdefault(name, []).append(_frame(name, waiting.pop(name)))
            del rows[name]
    for name, left in waiting.items():
        done.setdefault(name, []).append(_frame(name, left))
    return {name: pl.concat(frames) for name, frames in done.items()}


def _frame(name: str, entries: list[Any]) -> pl.DataFrame:
    return _predictions(entries) if name.startswith("predictions/") else _outcomes(entries)


def _predictions(entries: list[PredictionEntry]) -> pl.DataFrame:
    """Return the rows of entries, column by column: what is of a request is repeated for its rows."""
    counts = [len(entry.predictions) for entry in entries]
    probabilities = _column(entries, counts, "probabilities")
    usual = pl.Series(probabilities, dtype=pl.Float64())
    told: dict[str, list[Any]] = {
        "request_id": [entry.request_id for entry in entries],
        "endpoint": [entry.endpoint for entry in entries],
        "revision": [entry.revision for entry in entries],
        "model": [entry.model for entry in entries],
        "version": [entry.version for entry in entries],
        "variant": [entry.variant for entry in entries],
        "assignment": [entry.assignment for entry in entries],
        "subject": [entry.subject for entry in entries],
        "at": [entry.at for entry in entries],
        "latency": [entry.latency for entry in entries],
        "propensity": [entry.propensity for entry in entries],
        "shadow": [entry.shadow for entry in entries],
        "sampled": [entry.sampled for entry in entries],
        "beside": [f"~{entry.variant}" if entry.shadow else "" for entry in entries],
    }
    whole = pl.DataFrame([_series(name, values) for name, values in told.items()])
    rows = np.zeros(len(entries), dtype=np.int64)
    if set(counts) != {1}:
        ends = np.cumsum(counts)
        rows = np.arange(sum(counts)) - np.repeat(ends - counts, counts)
        whole = whole[np.repeat(np.arange(len(entries)), counts)]
    frame = whole.with_columns(
        pl.Series("row", rows, dtype=pl.Int64()),
        _series("key", _column(entries, counts, "keys")),
        pl.Series("inputs", _inputs(entries), dtype=pl.String()),
        _series("prediction", list(chain.from_iterable(entry.predictions for entry in entries))),
        usual.alias("probability"),
        _series("confidence", _column(entries, counts, "confidences")).fill_null(
            pl.select(pl.max_horizontal(usual, 1 - usual)).to_series()
        ),
        _series("outputs", _column(entries, counts, "outputs")),
        _series("decision", _column(entries, counts, "decisions")),
        *_answered_by(entries, counts),
    )
    named = pl.concat_str("request_id", pl.lit("-"), "row", "beside").alias("prediction_id")
    return frame.select(named, *[_moment(name) for name in PREDICTIONS if name != "prediction_id"])


def _outcomes(entries: list[OutcomeEntry]) -> pl.DataFrame:
    rows = [
        (f"{entry.request_id}-{row}", entry.endpoint, prediction, key, value, entry.at, text)
        for entry in entries
        for row, (prediction, key, value, text) in enumerate(
            zip(
                entry.predictions,
                entry.keys,
                entry.values,
                entry.texts or [None] * len(entry.values),
                strict=True,
            )
        )
    ]
    turned = zip(*rows, strict=True) if rows else ((),) * len(OUTCOMES)
    columns = zip(OUTCOMES, turned, strict=True)
    return pl.DataFrame([_series(name, values) for name, values in columns]).select(
        _moment(name) for name in OUTCOMES
    )


def _moment(name: str) -> pl.Expr:
    if name != "at":
        return pl.col(name)
    return pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC")


def _series(name: str, values: Sequence[Any]) -> pl.Series:
    kind = pl.Int64() if name == "at" else PREDICTIONS.get(name) or OUTCOMES.get(name) or pl.String()
    return pl.Series(name, values, dtype=kind)


def _column(entries: list[PredictionEntry], counts: list[int], name: str) -> list[Any]:
    """Return what entries say of each of their rows; nothing where they say nothing."""
    said = [getattr(entry, name) for entry in entries]
    if not any(said):
        return [None] * sum(counts)
    return list(chain.from_iterable(s or [None] * n for s, n in zip(said, counts, strict=True)))


def _answered_by(entries: list[PredictionEntry], counts: list[int]) -> list[pl.Series]:
    """Return who answered each row, where that is not the same for all rows of a request."""
    if not any(entry.answered_by for entry in entries):
        return []
    by = chain.from_iterable(
        entry.answered_by or [(entry.model, entry.version, entry.variant)] * count
        for entry, count in zip(entries, counts, strict=True)
    )
    names = ("model", "version", "variant")
    return [_series(name, column) for name, column in zip(names, zip(*by, strict=True), strict=True)]


def _inputs(entries: list[PredictionEntry]) -> list[str]:
    """Return the inputs of each row as JSON; entries one after the other of one version are written at once."""
    found: list[str] = []
    for _, run in groupby(entries, key=lambda entry: (entry.model, entry.version, tuple(entry.inputs))):
        found += _texts(list(run))
    return found


def _texts(entries: list[PredictionEntry]) -> list[str]:
    names = tuple(entries[0].inputs)
    if not names:
        return ["{}"] * sum(len(entry.predictions) for entry in entries)
    columns = [list(chain.from_iterable(entry.inputs[name] for entry in entries)) for name in names]
    try:
        made = pl.DataFrame([_plain(name, values) for name, values in zip(names, columns, strict=True)])
    except (TypeError, OverflowError, PolarsError):  # values of several kinds in one column
        return [_TEXT(dict(zip(names, row, strict=True))).decode() for row in zip(*columns, strict=True)]
    return made.select(pl.struct(pl.all()).struct.json_encode()).to_series().to_list()


def _plain(name: str, values: list[Any]) -> pl.Series:
    """Return a column of texts, numbers or truths; others are not written as JSON the same way.

    Raises:
        TypeError: the values are of another kind, or of several.
    """
    kinds = {*map(type, values)} - {type(None)}
    if len(kinds) > 1 or not kinds <= _PLAIN.keys():
        raise TypeError(name)
    return pl.Series(name, values, dtype=_PLAIN[kinds.pop()] if kinds else pl.String())


_PLAIN: dict[type, pl.DataType] = {
    str: pl.String(),
    float: pl.Float64(),
    int: pl.Int64(),
    bool: pl.Boolean(),
}
