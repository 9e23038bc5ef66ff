"""Whether what a model is asked now is what it has learnt from: its log, or newer rows, against a version's reference."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl

from treadle.core.answers import numbers, scored
from treadle.core.clock import parse_span
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.records import ModelVersion, Window
from treadle.core.signature import Signature
from treadle.loop import references
from treadle.loop.contenders import lacks
from treadle.loop.frames import Frames
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.monitoring import outcomes
from treadle.monitoring.drift import Asked, Drift, compare
from treadle.monitoring.reference import Reference, from_bytes, to_bytes

_TYPES = {
    "integer": pl.Float64(),
    "float": pl.Float64(),
    "boolean": pl.Boolean(),
    "string": pl.String(),
    "category": pl.String(),
}
#: Rows of a dataset that are answered, to compare predictions.
_ANSWERED = 50_000
#: Columns that a trigger's reason names.
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a window, by role."""

    source: str
    parts: Mapping[str, pl.DataFrame]
    #: The moments of the inputs.
    time: pl.Series | None
    start: datetime | None
    end: datetime | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Of:
    """Which rows are compared, and with what.

    Raises:
        InvalidInput: the span is none, or there is both an endpoint and a dataset version.
    """

    #: How far back from the newest row, as `7d`; empty: all of the log, or all rows after the version's window.
    window: str = "7d"
    #: The version that they are compared with, by number or alias; None: the champion.
    against: str | int | None = None
    #: The endpoint whose log holds them; empty: that of the model's name, where it has answered, else the dataset.
    endpoint: str = ""
    #: The dataset version that they are from, in place of a log; None: the newest, where no endpoint has answered.
    dataset_version: int | None = None
    asked: Asked = field(default_factory=Asked)

    def __post_init__(self) -> None:
        """Check what was given."""
        if self.window:
            parse_span(self.window)
        if self.endpoint and self.dataset_version is not None:
            msg = "Rows are of the log of an endpoint, or of a dataset version: leave one of the two out."
            raise InvalidInput(msg, field="endpoint")


class Drifting:
    """Compares what a model is asked with what it has learnt from.

    >>> Drifting(rooms).look(delay, Of(window="1d")).text  # doctest: +SKIP
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._read: dict[str, Reference] = {}

    def look(self, model: Model, of: Of | None = None, *, keep: bool = True) -> Drift:
        """Compare the rows of a window with a version's reference, and keep what it came to.

        Raises:
            NotFound: the version has no reference, or there are no rows.
            InvalidInput: a column that was asked for is not in the reference.
        """
        wanted = of or Of()
        version = self.version(model, wanted.against)
        reference = self.reference(version)
        rows = self._rows(model, version, wanted)
        found = compare(
            reference,
            rows.parts,
            version=f"{version.model}/{version.version}",
            source=rows.source,
            at=self._rooms.clock.now(),
            asked=wanted.asked,
            time=rows.time,
            start=rows.start,
            end=rows.end,
            notes=rows.notes,
        )
        if keep:
            self._rooms.drifts().keep(model.name, found)
        return found

    def recent(self, model: Model, of: Of | None = None, *, every: str = "1h") -> Drift | None:
        """Return the newest comparison with the champion, a new one where that is older than `every`; None: nothing can be compared.

        What a trigger asks at every tick: between two looks it costs one read of a small table, and writes nothing.
        """
        wanted = of or Of()
        try:
            version = self.version(model, wanted.against)
        except NotFound:
            return None
        last = self._rooms.drifts().latest(model.name, version=f"{version.model}/{version.version}")
        now = self._rooms.clock.now()
        if last is not None and timedelta(0) <= now - last.at < parse_span(every):
            return last
        try:
            return self.look(model, wanted)
        except NotFound:
            return last

    def version(self, model: Model, against: str | int | None) -> ModelVersion:
        """Return the version to compare with: by number, alias or reference; by default the champion, else the newest.

        Raises:
            NotFound: there is none.
        """
        if against is None:
            with suppress(NotFound):
                return self._rooms.models.get(model.name)
            return self._rooms.models.versions(model.name)[-1]
        text = str(against)
        plain = (
            text
            if "/" in text or "@" in text
            else f"{model.name}/{text}"
            if text.isdigit()
            else f"{model.name}@{text}"
        )
        return self._rooms.models.get(plain)

    def reference(self, version: ModelVersion) -> Reference:
        """Return a version's reference.

        Raises:
            NotFound: it has none; the message says how it gets one.
        """
        if not version.reference:
            msg = (
                f"{version.model}/{version.version} has no reference to compare with: it was made before there were any, or elsewhere. "
                f"Learn it from what its run has read: treadle drift {version.model} --against {version.version} --learn"
            )
            raise NotFound(msg)
        if version.reference not in self._read:
            self._read[version.reference] = from_bytes(self._rooms.objects.get(version.reference))
        return self._read[version.reference]

    def learn(self, model: Model, against: str | int | None = None) -> ModelVersion:
        """Make the reference of a version anew from what its run has read, and return the version with it.

        Raises:
            NotFound: there is no such version, or what it read is gone.
            InvalidInput: it was not trained here.
        """
        version = self.version(model, against)
        made = references.of_version(model, version, self._rooms)
        return self._rooms.models.refer(version, self._rooms.objects.put(to_bytes(made)))

    def _rows(self, model: Model, version: ModelVersion, of: Of) -> Rows:
        if of.dataset_version is None:
            found = _logged(model, version, of, self._rooms)
            if found is not None:
                return found
            if of.endpoint:
                msg = f"The log of endpoint {of.endpoint!r} has no prediction of {model.name!r}. Ask it first, or compare rows of the dataset."
                raise NotFound(msg)
        return _landed(model, version, of, self._rooms)


def drifting(found: Drift | None, *, columns: int = 1, importance: float = 0.0) -> tuple[bool, str]:
    """Say whether at least so many columns are drifting that answers depend on at least so much, and why: for triggers.

    What is no input (predictions, confidence, target) counts whatever the importance.

    >>> drifting(None)
    (False, 'there is nothing to compare yet')
    """
    if found is None:
        return False, "there is nothing to compare yet"
    counted = [one for one in found.drifted if one.importance is None or one.importance >= importance]
    names = list(dict.fromkeys(one.column for one in counted))
    if len(names) < columns:
        beside = (
            f"; {len(found.drifted) - len(counted)} findings in columns that matter less"
            if len(counted) < len(found.drifted)
            else ""
        )
        return (
            False,
            f"{len(names)} of {columns} columns have drifted in {found.rows:,} rows since {found.version} was trained{beside}",
        )
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return (
        True,
        f"{shown or 'the columns together'} drifted since {found.version} was trained: {counted[0].text}",
    )


def _logged(model: Model, version: ModelVersion, of: Of, rooms: Rooms) -> Rows | None:
    """Return what was asked and answered, as an endpoint's log has it; None: nothing was."""
    name = of.endpoint or model.name
    log = rooms.predictions().scan(name).filter(pl.col("model") == model.name)
    last = log.select(pl.col("at").max()).collect().item()
    if last is None:
        return None
    start = last - parse_span(of.window) if of.window else None
    rows = (log if start is None else log.filter(pl.col("at") > start)).sort("at").collect()
    mine = rows.filter(pl.col("version") == version.version)
    parts: dict[str, pl.DataFrame] = {"input": sent(rows["inputs"], version.signature)}
    if mine.height:
        parts |= references.answered(_told(mine, version.signature), scored(version.signature))
    reported = rooms.outcomes().scan(name).collect()
    known = (
        outcomes.join(rows, outcomes.reported(reported))["outcome"].drop_nulls()
        if reported.height
        else pl.Series()
    )
    if len(known) and model.truth:
        parts["target"] = known.alias(model.truth).to_frame()
    return Rows(source=f"endpoint:{name}", parts=parts, time=rows["at"], start=start, end=last)


def _landed(model: Model, version: ModelVersion, of: Of, rooms: Rooms) -> Rows:
    """Return rows of the dataset that are newer than what the version has learnt from, and what it would answer."""
    dataset = rooms.datasets.version(model.data.name, of.dataset_version)
    last = dataset.time_max
    start = version.window.end
    end = last + timedelta(microseconds=1) if last is not None else start
    if of.window:
        start = max(start, end - parse_span(of.window))
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
    try:
        parts |= _would_answer(frame, version, rooms)
    except InvalidInput as error:
        notes = (f"Predictions were not compared: {error}",)
    if model.truth in frame.columns:
        parts["target"] = frame.select(pl.col(model.truth).drop_nulls())
    return Rows(
        source=f"dataset:{model.data.name}/{dataset.version}",
        parts=parts,
        time=frame[model.data.time_column],
        start=start,
        end=end,
        notes=notes,
    )


def _would_answer(frame: pl.DataFrame, version: ModelVersion, rooms: Rooms) -> dict[str, pl.DataFrame]:
    """Return what a version answers to rows that it can answer, at most 50,000 of them."""
    signature = version.signature
    whole = frame.drop_nulls(list(lacks(signature, frame)) or None) if lacks(signature, frame) else frame
    asked = whole if whole.height <= _ANSWERED else whole.gather_every(-(-whole.height // _ANSWERED))
    if asked.is_empty():
        return {}
    servable = rooms.models.load(version)
    return references.answered(
        numbers(servable.predict(signature.encode(asked)), signature), scored(signature)
    )


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
