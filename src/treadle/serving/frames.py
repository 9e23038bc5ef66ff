"""Log entries as frames: one row for each prediction and for each outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import polars as pl

from treadle.serving.entries import Entry, OutcomeEntry, PredictionEntry

#: The columns of a table of predictions.
PREDICTIONS: dict[str, pl.DataType] = {
    #: The request's id and the row's number, as `01k…-0`.
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
}
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


def tables_of(entries: Iterable[Entry]) -> dict[str, pl.DataFrame]:
    """Return the rows of entries by table: `predictions/<endpoint>` and `outcomes/<endpoint>`."""
    predictions: dict[str, list[tuple[Any, ...]]] = {}
    outcomes: dict[str, list[tuple[Any, ...]]] = {}
    for entry in entries:
        if isinstance(entry, PredictionEntry):
            predictions.setdefault(entry.endpoint, []).extend(_prediction_rows(entry))
        else:
            outcomes.setdefault(entry.endpoint, []).extend(_outcome_rows(entry))
    return {
        **{f"predictions/{name}": _frame(rows, PREDICTIONS) for name, rows in predictions.items()},
        **{f"outcomes/{name}": _frame(rows, OUTCOMES) for name, rows in outcomes.items()},
    }


def _frame(rows: list[tuple[Any, ...]], columns: dict[str, pl.DataType]) -> pl.DataFrame:
    stored = {name: pl.Int64() if name == "at" else kind for name, kind in columns.items()}
    frame = pl.DataFrame(rows, schema=stored, orient="row")
    return frame.with_columns(pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC"))


def _prediction_rows(entry: PredictionEntry) -> Iterable[tuple[Any, ...]]:
    count = len(entry.predictions)
    names = tuple(entry.inputs)
    inputs = zip(*entry.inputs.values(), strict=True)
    nothing = [None] * count
    keys: Sequence[str | None] = entry.keys or nothing
    probabilities: Sequence[float | None] = entry.probabilities or nothing
    outputs: Sequence[str | None] = entry.outputs or nothing
    usual = [None if p is None else max(p, 1 - p) for p in probabilities]
    confidences: Sequence[float | None] = entry.confidences or usual
    rows = zip(inputs, keys, entry.predictions, probabilities, confidences, outputs, strict=True)
    for row, (values, key, prediction, probability, confidence, answer) in enumerate(rows):
        yield (
            f"{entry.request_id}-{row}",
            entry.request_id,
            row,
            entry.endpoint,
            entry.revision,
            entry.model,
            entry.version,
            entry.variant,
            entry.assignment,
            entry.subject,
            entry.at,
            key,
            msgspec.json.encode(dict(zip(names, values, strict=True))).decode(),
            prediction,
            probability,
            confidence,
            entry.latency,
            answer,
        )


def _outcome_rows(entry: OutcomeEntry) -> Iterable[tuple[Any, ...]]:
    texts = entry.texts or [None] * len(entry.values)
    for row, (prediction, key, value, text) in enumerate(
        zip(entry.predictions, entry.keys, entry.values, texts, strict=True)
    ):
        yield f"{entry.request_id}-{row}", entry.endpoint, prediction, key, value, entry.at, text
