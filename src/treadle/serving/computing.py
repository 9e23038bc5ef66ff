"""Requests that send what on-demand features are made of: these are computed, where the caller does not send them.

A value that a caller sends wins, null too. A row for which all of a feature's columns were sent needs nothing of what they
are made of. What was computed is what the model is fed and the log keeps, with what it was made of beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import msgspec
import numpy as np

from treadle.core.errors import InvalidInput
from treadle.core.signature import Computed, Field, Signature
from treadle.serving.encoding import described, encode
from treadle.serving.filled import FillingReader
from treadle.serving.on_demand import Computation, Line, Made, OnDemand, Task
from treadle.serving.requests import Batch, Reader, in_rows
from treadle.serving.wanted import OnlineRead, Open

_UNSET = msgspec.UNSET
#: What is said in an answer of a feature that could not be computed.
FAILED = "failed"
Place = Callable[[str, int], str]


def reader_of(
    signature: Signature,
    *,
    max_rows: int,
    online: OnlineRead | None,
    on_demand: OnDemand | None = None,
    model: str = "",
) -> Reader:
    """Return the reader of requests: one that reads and computes features, where inputs come from views or are made on demand.

    `online` reads views, `on_demand` finds the code of a model's on-demand features; None: callers send what they give.
    """
    if on_demand is not None and signature.computed:
        views = signature.views if online is not None else ()
        whole = msgspec.structs.replace(signature, views=views)
        line = Line(model, whole.computed, on_demand)
        return ComputingReader(whole, max_rows=max_rows, online=online if views else None, line=line)
    views = tuple(
        msgspec.structs.replace(view, fields=own)
        for view in signature.views
        if (own := tuple(name for name in view.fields if name in signature.names))
    )
    if online is None or not views:
        return Reader(signature, max_rows=max_rows)
    return FillingReader(msgspec.structs.replace(signature, views=views), max_rows=max_rows, online=online)


class ComputingReader(FillingReader):
    """Reads requests, and the features that they do not send, and computes those on demand."""

    def __init__(self, signature: Signature, *, max_rows: int, online: OnlineRead | None, line: Line) -> None:
        """Take a signature that has features on demand, which `line` computes."""
        self._computed: tuple[Computed, ...] = signature.computed
        super().__init__(signature, max_rows=max_rows, online=online)
        self.line = line
        made = {field.name: field for one in self._computed for field in one.outputs}
        read = {field.name for one in self._computed for field in one.inputs}
        self._made_here = made
        own = set(signature.names)
        self.optional |= made.keys() | {name for name in read if name not in own}
        #: What may be missing of a request but not null: it is null in no row of training.
        self._never_null = tuple(
            field
            for one in self._computed
            for field in one.inputs
            if not field.nullable and field.name not in own
        )
        known = {field.name for field in self._integers}
        self._integers += tuple(
            field
            for name, field in self.fields.items()
            if field.kind == "integer"
            and name not in own
            and name not in known
            and name not in self._features
        )
        #: Features of views that rows need besides the model's own, by the on-demand features that they want.
        self._views_for: dict[tuple[int, ...], tuple[str, ...]] = {}
        self._build()

    def _beside(self) -> Iterable[Field]:
        for one in self._computed:
            yield from (*one.inputs, *one.outputs)

    def _batch_of_rows(self, found: Sequence[Any]) -> Batch:
        self.check_count(len(found), "rows")
        rows = map(msgspec.structs.astuple, found)
        return self._batch(dict(zip(self.fields, zip(*rows, strict=True), strict=True)), in_rows)

    def _open(self, values: Mapping[str, Sequence[Any]], rows: int) -> list[int]:
        """Return the rows of which some feature of a view is needed and was not sent."""
        return [
            row
            for row in range(rows)
            if any(values[name][row] is _UNSET for name in self._read_for(self._wants(values, row)))
        ]

    def _wants(self, values: Mapping[str, Sequence[Any]], row: int) -> tuple[int, ...]:
        """Return the places of the features that have to be computed for a row, in order."""
        steps: list[int] = []
        wanted = self._inputs
        for step in reversed(range(len(self._computed))):
            one = self._computed[step]
            if any(field.name in wanted and values[field.name][row] is _UNSET for field in one.outputs):
                steps.append(step)
                wanted = (*wanted, *(field.name for field in one.inputs))
        return tuple(reversed(steps))

    def _read_for(self, steps: tuple[int, ...]) -> tuple[str, ...]:
        if steps not in self._views_for:
            read = {field.name for step in steps for field in self._computed[step].inputs}
            needed = read | set(self._inputs)
            self._views_for[steps] = tuple(name for name in self._features if name in needed)
        return self._views_for[steps]

    def _made(self, found: Mapping[str, Sequence[Any]], place: Place) -> Batch:
        """Return the rows, once what they want has been computed."""
        self._check_sent(found, place)
        tasks = self._tasks(found, place)
        if not tasks:
            return super()._made(found, place)
        then = partial(self._with, found, place)
        return Open.of(len(found[self._inputs[0]]), Computation(self.line, tasks), then)

    def _check_sent(self, found: Mapping[str, Sequence[Any]], place: Place) -> None:
        """Refuse values that were sent and could not be: a null that no row of training had, a number that is none."""
        for field in self._never_null:
            if None in found[field.name]:
                at = place(field.name, list(found[field.name]).index(None))
                msg = f"Field {field.name!r} is null. Expected {described(field)}."
                raise InvalidInput(msg, field=at)
        for name, field in self._made_here.items():
            sent = {row: value for row, value in enumerate(found[name]) if value is not _UNSET}
            if sent:
                may = msgspec.structs.replace(field, nullable=True)
                encode(may, [*sent.values()], place=partial(_place_of, name, [*sent], place))

    def _tasks(self, found: Mapping[str, Sequence[Any]], place: Place) -> list[Task]:
        """Return what is to be computed: rows that want the same features together."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for row in range(len(found[self._inputs[0]])):
            if steps := self._wants(found, row):
                groups.setdefault(steps, []).append(row)
        return [
            Task(steps, rows, self._taken(steps, rows, found, place), Future())
            for steps, rows in groups.items()
        ]

    def _taken(
        self, steps: tuple[int, ...], rows: list[int], found: Mapping[str, Sequence[Any]], place: Place
    ) -> dict[str, list[Any]]:
        """Return the columns that features are made of, but those that one of them gives."""
        given: set[str] = set()
        taken: dict[str, list[Any]] = {}
        for step in steps:
            one = self._computed[step]
            for name in (field.name for field in one.inputs if field.name not in given):
                column = taken.setdefault(name, [found[name][row] for row in rows])
                if _UNSET in column:
                    raise self._incomplete(one, name, place(name, rows[column.index(_UNSET)]))
            given.update(field.name for field in one.outputs)
        return taken

    def _incomplete(self, one: Computed, name: str, place: str) -> InvalidInput:
        given = ", ".join(field.name for field in one.outputs)
        msg = f"Field {name!r} is missing, of which {one.feature!r} is made. Send {name!r}, or what is made of it: {given}."
        return InvalidInput(msg, field=place)

    def _with(
        self, found: Mapping[str, Sequence[Any]], place: Place, done: Sequence[tuple[Task, Made]]
    ) -> Batch:
        """Return the rows with what was computed for them.

        Raises:
            FeatureFailed, InvalidInput, NotComputable: it could not be, and the policy is `error`.
        """
        filled = {name: list(found[name]) for name in self._made_here}
        lacking: dict[int, dict[str, str]] = {}
        for task, made in done:
            for at, (feature, error) in sorted(made.failed.items()):
                if self.line.on_failure == "error" or isinstance(error, InvalidInput):
                    raise _placed(error, place, task.rows[at])
                lacking.setdefault(task.rows[at], {})[feature] = FAILED
            for name, column in made.columns.items():
                for row, value in zip(task.rows, column, strict=True):
                    if filled[name][row] is _UNSET:
                        filled[name][row] = value
        batch = super()._made({**found, **filled}, place)
        if lacking:
            batch.lacking = tuple(lacking.get(row) for row in range(batch.rows))
        return batch

    def _arrays(self, place: Place, values: Mapping[str, Sequence[Any]]) -> dict[str, np.ndarray]:
        return {
            name: _freely(values[name])
            if name in self._made_here and self.fields[name].kind == "float"
            else encode(self.fields[name], values[name], place=partial(place, name))
            for name in self.signature.names
        }


def _place_of(name: str, rows: Sequence[int], place: Place, at: int) -> str:
    return place(name, rows[at])


def _freely(values: Sequence[Any]) -> np.ndarray:
    """Encode computed numbers, which may be infinite, as in training."""
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float64).astype(np.float32)


def _placed(error: Exception, place: Place, row: int) -> Exception:
    """Return an error with the place of its row."""
    name = getattr(error, "field", None)
    return (
        InvalidInput(str(error), field=place(name, row))
        if isinstance(error, InvalidInput) and name
        else error
    )
