"""What a model was asked lately and what it answered, as columns: from a log, or for rows that landed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core.answers import numbers, scored
from treadle.core.clock import parse_span
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.records import ModelVersion, Window
from treadle.core.signature import Field, Signature
from treadle.loop import references
from treadle.loop.contenders import lacks
from treadle.loop.frames import Frames
from treadle.loop.landed import outcomes_of
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.monitoring import outcomes

_TYPES = {
    "integer": pl.Float64(),
    "float": pl.Float64(),
    "boolean": pl.Boolean(),
    "string": pl.String(),
    "category": pl.String(),
}
#: Rows of a dataset that are answered, to compare predictions.
_ANSWERED = 50_000


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one version answered, or would answer."""

    inputs: pl.DataFrame
    #: The scored numbers, of shape (rows,) or (rows, columns).
    numbers: np.ndarray
    #: What turned out to be true, of shape (rows,): 0 and 1, the place of the class, or a number; NaN: it is not known.
    truth: np.ndarray
    time: pl.Series


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The rows of a window, by role."""

    source: str
    parts: Mapping[str, pl.DataFrame]
    #: The moments of the inputs.
    time: pl.Series | None
    start: datetime | None
    end: datetime | None
    #: None: the version answered none of them.
    answers: Answers | None
    notes: tuple[str, ...] = ()


def logged(model: Model, version: ModelVersion, rooms: Rooms, *, endpoint: str, window: str) -> Seen | None:
    """Return what was asked and answered, as an endpoint's log has it; None: nothing was."""
    name = endpoint or model.name
    log = rooms.predictions().scan(name).filter(pl.col("model") == model.name)
    last = log.select(pl.col("at").max()).collect().item()
    if last is None:
        return None
    start = last - parse_span(window) if window else None
    rows = (log if start is None else log.filter(pl.col("at") > start)).sort("at").collect()
    rows = outcomes.join(rows, outcomes.reported(outcomes_of(rooms, name, rows.lazy())))
    inputs, mine = sent(rows["inputs"], version.signature), rows["version"] == version.version
    parts: dict[str, pl.DataFrame] = {"input": inputs}
    answers = None
    if mine.any():
        asked, last_output = rows.filter(mine), scored(version.signature)
        given = _told(asked, version.signature)
        parts |= references.answered(given, last_output)
        truth = _truth(asked["outcome"], last_output, model)
        answers = Answers(inputs=inputs.filter(mine), numbers=given, truth=truth, time=asked["at"])
    known = rows["outcome"].drop_nulls()
    if len(known) and model.truth:
        parts["target"] = known.alias(model.truth).to_frame()
    return Seen(
        source=f"endpoint:{name}", parts=parts, time=rows["at"], start=start, end=last, answers=answers
    )


def landed(
    model: Model, version: ModelVersion, rooms: Rooms, *, dataset_version: int | None, window: str
) -> Seen:
    """Return rows of the dataset that are newer than what the version has learnt from, and what it would answer.

    Raises:
        NotFound: there are none.
    """
    dataset = rooms.datasets.version(model.data.name, dataset_version)
    last, start = dataset.time_max, version.window.end
    end = last + timedelta(microseconds=1) if last is not None else start
    if window:
        start = max(start, end - parse_span(window))
    if end <= start:
        msg = (
            f"Dataset {model.data.name!r} version {dataset.version} has no row after {version.window.end:%Y-%m-%d %H:%M}, up to which {version.model}/{version.version} has learnt. "
            "Let newer rows land, or ask its endpoint."
        )
        raise NotFound(msg)
    spine = rooms.datasets.read(model.data.name, version=dataset.version, window=Window(start=start, end=end))
    frame = Frames(rooms.datasets).with_features(model, spine)
    parts: dict[str, pl.DataFrame] = {"input": references.inputs_of(frame, version.signature)}
    notes: tuple[str, ...] = ()
    answers = None
    try:
        answers = _would_answer(model, frame, version, rooms)
    except InvalidInput as error:
        notes = (f"Predictions were not compared: {error}",)
    if answers is not None:
        parts |= references.answered(answers.numbers, scored(version.signature))
    if model.truth in frame.columns:
        parts["target"] = frame.select(pl.col(model.truth).drop_nulls())
    return Seen(
        source=f"dataset:{model.data.name}/{dataset.version}",
        parts=parts,
        time=frame[model.data.time_column],
        start=start,
        end=end,
        answers=answers,
        notes=notes,
    )


def _would_answer(model: Model, frame: pl.DataFrame, version: ModelVersion, rooms: Rooms) -> Answers | None:
    """Return what a version answers to rows that it can answer, at most 50,000 of them."""
    signature = version.signature
    lacking = list(lacks(signature, frame))
    whole = frame.drop_nulls(lacking) if lacking else frame
    asked = whole if whole.height <= _ANSWERED else whole.gather_every(-(-whole.height // _ANSWERED))
    if asked.is_empty():
        return None
    given = numbers(rooms.models.load(version).predict(signature.encode(asked)), signature)
    truth = np.full(asked.height, np.nan)
    if model.truth in asked.columns:
        truth = _truth(asked[model.truth], scored(signature), model)
    inputs, time = references.inputs_of(asked, signature), asked[model.data.time_column]
    return Answers(inputs=inputs, numbers=given, truth=truth, time=time)


def _truth(series: pl.Series, field: Field, model: Model) -> np.ndarray:
    """Return outcomes as numbers, NaN where they are not known or are none that the version can answer."""
    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        positive = getattr(model.task, "positive", None)
        names = {name: float(place) for place, name in enumerate(field.columns)}
        if not names:
            told = [None if one is None else float(one == positive) for one in series.cast(pl.String)]
        else:
            told = [names.get(one) for one in series.cast(pl.String)]
        return pl.Series(told, dtype=pl.Float64).fill_null(float("nan")).to_numpy()
    if series.dtype != pl.Boolean and not series.dtype.is_numeric():
        return np.full(len(series), np.nan)
    plain = series.cast(pl.Float64)
    if field.columns and field.name == "probabilities":
        return _truth(plain.cast(pl.Int64, strict=False).cast(pl.String), field, model)
    return plain.fill_null(float("nan")).to_numpy()


def sent(texts: pl.Series, signature: Signature) -> pl.DataFrame:
    """Return inputs as logged (one JSON object a row) as columns; those that were not logged at all are left out.

    >>> from treadle.core.signature import Field
    >>> sent(pl.Series(['{"a":1}', '{"a":null}']), Signature(inputs=(Field(name="a", kind="integer"), Field(name="b", kind="float")))).to_dict(as_series=False)
    {'a': [1.0, None]}
    """
    wanted = {field.name: _TYPES[field.kind] for field in signature.inputs if field.kind in _TYPES}
    try:
        found = texts.str.json_decode(pl.Struct(wanted)).struct.unnest()
    except (
        pl.exceptions.PolarsError
    ):  # a value of another kind somewhere: read row by row, it is missing there
        rows = [msgspec.json.decode(text) if text else {} for text in texts]
        found = pl.DataFrame(
            {
                name: pl.Series(name, [_of_kind(row.get(name), kind) for row in rows], dtype=kind)
                for name, kind in wanted.items()
            }
        )
    absent = [
        name
        for name in wanted
        if found[name].null_count() == found.height
        and not texts.str.contains(f"{msgspec.json.encode(name).decode()}:", literal=True).any()
    ]
    return found.drop(absent)


def _of_kind(value: Any, kind: pl.DataType) -> Any:
    if kind == pl.String:
        return None if value is None else str(value)
    if kind == pl.Boolean:
        return bool(value) if isinstance(value, bool | int) else None
    return float(value) if isinstance(value, bool | int | float) else None


def _told(rows: pl.DataFrame, signature: Signature) -> np.ndarray:
    """Return the scored numbers of logged answers: float64 of shape (rows,), or (rows, columns)."""
    last = scored(signature)
    if not last.columns and last.name in {"prediction", "probability"}:
        return rows.select(pl.coalesce("probability", "prediction")).to_series().to_numpy()
    told = [msgspec.json.decode(text)[last.name] for text in rows["outputs"]]
    if last.columns:
        return np.array([[one[name] for name in last.columns] for one in told], dtype=np.float64)
    return np.array(told, dtype=np.float64)
