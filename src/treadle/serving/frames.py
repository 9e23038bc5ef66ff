"""Log entries as frames: one row for each prediction and for each outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import polars as pl

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

_COLUMNS = {"predictions": PREDICTIONS, "outcomes": OUTCOMES}
_AT_ONCE = 4096
_TEXT = msgspec.json.Encoder().encode


def tables_of(entries: Iterable[Entry]) -> dict[str, pl.DataFrame]:
    """Return the rows of entries by table: `predictions/<endpoint>` and `outcomes/<endpoint>`.

    Rows are made frames a few thousand at a time: as Python values they take ten times the memory.
    """
    waiting: dict[str, list[tuple[Any, ...]]] = {}
    done: dict[str, list[pl.DataFrame]] = {}
    for entry in entries:
        is_prediction = isinstance(entry, PredictionEntry)
        name = f"predictions/{entry.endpoint}" if is_prediction else f"outcomes/{entry.endpoint}"
        rows = waiting.setdefault(name, [])
        rows.extend(_prediction_rows(entry) if isinstance(entry, PredictionEntry) else _outcome_rows(entry))
        if len(rows) >= _AT_ONCE:
            done.setdefault(name, []).append(_frame(waiting.pop(name), _COLUMNS[name.partition("/")[0]]))
    for name, rows in waiting.items():
        done.setdefault(name, []).append(_frame(rows, _COLUMNS[name.partition("/")[0]]))
    return {name: pl.concat(frames) for name, frames in done.items()}


def _frame(rows: list[tuple[Any, ...]], columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """Return rows as a frame; columns are handed over one by one, which Polars takes several times as fast."""
    stored = {name: pl.Int64() if name == "at" else kind for name, kind in columns.items()}
    turned = zip(*rows, strict=True) if rows else ((),) * len(stored)
    frame = pl.DataFrame([pl.Series(n, v, dtype=k) for (n, k), v in zip(stored.items(), turned, strict=True)])
    return frame.with_columns(pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC"))


def _prediction_rows(entry: PredictionEntry) -> Iterable[tuple[Any, ...]]:
    """Return an entry's rows; most entries have one, whose place is 0 in every list."""
    count = len(entry.predictions)
    if count == 1:
        return (_only_row(entry),)
    return _each_row(entry, count)


def _only_row(entry: PredictionEntry) -> tuple[Any, ...]:
    request, probabilities, confidences = entry.request_id, entry.probabilities, entry.confidences
    probability = probabilities[0] if probabilities else None
    usual = None if probability is None else probability if probability > 0.5 else 1 - probability
    return (
        f"{request}-0~{entry.variant}" if entry.shadow else f"{request}-0",
        request,
        0,
        entry.endpoint,
        entry.revision,
        entry.model,
        entry.version,
        entry.variant,
        entry.assignment,
        entry.subject,
        entry.at,
        entry.keys[0] if entry.keys else None,
        _TEXT({name: values[0] for name, values in entry.inputs.items()}).decode(),
        entry.predictions[0],
        probability,
        confidences[0] if confidences else usual,
        entry.latency,
        entry.outputs[0] if entry.outputs else None,
        entry.propensity,
        entry.shadow,
        entry.sampled,
        entry.decisions[0] if entry.decisions else None,
    )


def _each_row(entry: PredictionEntry, count: int) -> Iterable[tuple[Any, ...]]:
    names = tuple(entry.inputs)
    inputs = zip(*entry.inputs.values(), strict=True)
    nothing = [None] * count
    keys: Sequence[str | None] = entry.keys or nothing
    probabilities: Sequence[float | None] = entry.probabilities or nothing
    outputs: Sequence[str | None] = entry.outputs or nothing
    usual = [None if p is None else max(p, 1 - p) for p in probabilities]
    confidences: Sequence[float | None] = entry.confidences or usual
    decisions: Sequence[str | None] = entry.decisions or nothing
    beside = f"~{entry.variant}" if entry.shadow else ""
    answered_by = entry.answered_by or [(entry.model, entry.version, entry.variant)] * count
    told = (keys, entry.predictions, probabilities, confidences, outputs, decisions, answered_by)
    rows = zip(inputs, *told, strict=True)
    for row, (values, key, prediction, probability, confidence, answer, decision, by) in enumerate(rows):
        yield (
            f"{entry.request_id}-{row}{beside}",
            entry.request_id,
            row,
            entry.endpoint,
            entry.revision,
            *by,
            entry.assignment,
            entry.subject,
            entry.at,
            key,
            _TEXT(dict(zip(names, values, strict=True))).decode(),
            prediction,
            probability,
            confidence,
            entry.latency,
            answer,
            entry.propensity,
            entry.shadow,
            entry.sampled,
            decision,
        )


def _outcome_rows(entry: OutcomeEntry) -> Iterable[tuple[Any, ...]]:
    texts = entry.texts or [None] * len(entry.values)
    for row, (prediction, key, value, text) in enumerate(
        zip(entry.predictions, entry.keys, entry.values, texts, strict=True)
    ):
        yield f"{entry.request_id}-{row}", entry.endpoint, prediction, key, value, entry.at, text
