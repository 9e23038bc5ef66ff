"""Requests that name entities instead of features: what was not sent is read from the online store.

A value that a caller sends wins, null too. The values that were used are the ones that the model is fed and the log
keeps, with the entities beside them and the moment as of which they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from treadle.core.errors import InvalidInput, StoreUnavailable, TreadleError, closest
from treadle.core.signature import Field, OnlineView, Signature
from treadle.serving.encoding import PYTHON, described
from treadle.serving.requests import Batch, Reader, in_rows, shown
from treadle.serving.wanted import Found, OnlineRead, Open, Wanted

_UNSET = msgspec.UNSET
#: What is said of a view in an answer while the store does not answer.
UNAVAILABLE = "unavailable"


class FillingReader(Reader):
    """Reads requests, and the features that they do not send."""

    def __init__(self, signature: Signature, *, max_rows: int, online: OnlineRead | None) -> None:
        """Take a signature whose views, if it has some, are read `online`."""
        super().__init__(signature, max_rows=max_rows)
        self._online, self._views = online, signature.views
        self._waits = online is not None and online.patience > 0
        self._names = tuple(view.view for view in signature.views)
        self._inputs = signature.names
        entities = {field.name: field for view in signature.views for field in view.entities}
        self._features = tuple(name for view in signature.views for name in view.fields)
        #: Features of which no value may be missing, though they need not be sent.
        self._whole_only = tuple(f for f in signature.inputs if f.name in self._features and not f.nullable)
        #: Integers that only say whose features are read: nothing encodes them, and the log takes 64 bits.
        self._integers = tuple(
            field
            for name, field in entities.items()
            if field.kind == "integer" and name not in signature.names
        )
        #: What may be left out of a request: features, and entities of which all features are sent.
        self.optional = frozenset(self._features) | (entities.keys() - set(signature.names))
        own = {field.name: field for field in signature.inputs}
        # Features stand last, so that a row which sends none is known by the end of its values.
        known = {**own, **{name: field for name, field in entities.items() if name not in own}}
        for field in self._beside():
            known.setdefault(field.name, field)
        first = [name for name in known if name not in self._features]
        self.fields = {name: known[name] for name in (*first, *self._features)}
        self._first, self._nothing = tuple(first), (_UNSET,) * len(self._features)
        self._entities = tuple(entities)
        self._schema: Mapping[str, Any] | None = None
        self._places: list[int] = []
        self._build()

    def _beside(self) -> Iterable[Field]:
        """Return what a request may hold besides inputs, entities and features."""
        return ()

    def _build(self) -> None:
        rename = {f"f{i}": name for i, name in enumerate(self.fields)}
        row: list[Any] = []
        table: list[Any] = []
        for i, (name, field) in enumerate(self.fields.items()):
            kind = (
                PYTHON[field.kind] | None if field.nullable or name in self.optional else PYTHON[field.kind]
            )
            if name in self.optional:
                row.append((f"f{i}", kind | msgspec.UnsetType, _UNSET))
                table.append((f"f{i}", list[kind] | msgspec.UnsetType, _UNSET))  # type: ignore[valid-type]
            else:
                row.append((f"f{i}", kind))
                table.append((f"f{i}", list[kind]))  # type: ignore[valid-type]
        self._row = msgspec.defstruct("Row", row, rename=rename, forbid_unknown_fields=True, kw_only=True)
        self._table = msgspec.defstruct(
            "Table", table, rename=rename, forbid_unknown_fields=True, kw_only=True
        )
        self._rows_of = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]
        self._table_of = msgspec.json.Decoder(self._table)

    def values(self, columns: Mapping[str, Sequence[Any]], *, place: Callable[[str, int], str]) -> Batch:
        """Read columns of Python values that a protocol has unpacked; features may be left out.

        Raises:
            InvalidInput: as for `Reader.values`.
        """
        for name in columns:
            if name not in self.fields:
                msg = f"Unknown field {name!r}. {closest(name, self.fields)}"
                raise InvalidInput(msg, field=name)
        typed: dict[str, Any] = {}
        for name, field in self.fields.items():
            if name in columns:
                may = msgspec.structs.replace(field, nullable=True) if name in self.optional else field
                typed[name] = self._typed(may, columns[name], place)
            elif name in self.optional:
                typed[name] = _UNSET
            else:
                raise self._lacks(name, name)
        return self._batch(typed, place)

    def _batch_of_rows(self, found: Sequence[Any]) -> Batch:
        self.check_count(len(found), "rows")
        rows = list(map(msgspec.structs.astuple, found))
        place = len(self._first)
        if all(row[place:] == self._nothing for row in rows):
            first: dict[str, Sequence[Any]] = dict(zip(self._first, zip(*rows, strict=True), strict=False))
            entities = {name: first[name] for name in self._entities}
            if not any(_UNSET in column for column in entities.values()):
                self._refuse_large(first, in_rows)
                return self._asking(entities, self._features, partial(self._usual, first))
        values: dict[str, Sequence[Any]] = dict(zip(self.fields, zip(*rows, strict=True), strict=True))
        if not any(_UNSET in row for row in rows):
            self._refuse_nulls(values, in_rows)
            self._refuse_large(values, in_rows)
            return self._whole(values)
        return self._batch(values, in_rows)

    def _asking(
        self, entities: Mapping[str, Sequence[Any]], missed: Sequence[str], then: Callable[[Found], Batch]
    ) -> Batch:
        """Return the rows that `then` makes of what is read, at once where the store is files of this machine."""
        assert self._online is not None
        wanted = Wanted(self._online, self._names, entities, missed)
        return Open.of(wanted.rows, wanted, then) if self._waits else then(wanted.read())

    def _usual(self, values: dict[str, Sequence[Any]], read: Found) -> Batch:
        """Return rows that send no feature at all, and mostly get every one."""
        is_known = read.schema is self._schema or self._learn(read.schema)
        if read.problem or not is_known or any(None in row for row in read.rows):
            count = len(read.rows)
            return self._filling(
                {**values, **dict.fromkeys(self._features, (_UNSET,) * count)},
                list(range(count)),
                in_rows,
                read,
            )
        columns = list(zip(*read.rows, strict=True))
        for name, place in zip(self._features, self._places, strict=True):
            values[name] = columns[place]
        batch = self._whole(values)
        batch.as_of = read.at
        return batch

    def _whole(self, values: dict[str, Sequence[Any]]) -> Batch:
        """Return rows of which every value is there."""
        return Batch(len(values[self._features[0]]), values, self._from_rows)

    def _learn(self, schema: Mapping[str, Any]) -> bool:
        """Keep where each feature stands in what is read; False: one is not there."""
        at = {name: number for number, name in enumerate(schema)}
        if any(name not in at for name in self._features):
            return False
        self._schema, self._places = schema, [at[name] for name in self._features]
        return True

    def _batch(self, values: dict[str, Any], place: Callable[[str, int], str]) -> Batch:
        rows = next((len(column) for column in values.values() if column is not _UNSET), 0)
        whole = {name: (_UNSET,) * rows if column is _UNSET else column for name, column in values.items()}
        for name, column in whole.items():
            if len(column) != rows:
                msg = (
                    f"Field {name!r} has {len(column)} values, others have {rows}. Expected one for each row."
                )
                raise InvalidInput(msg, field=name)
        self.check_count(rows, "rows")
        self._refuse_nulls(whole, place)
        self._refuse_large(whole, place)
        open_rows = self._open(whole, rows)
        if not open_rows:
            return self._made(whole, place)
        entities = self._entities_of(whole, open_rows, place)
        then = partial(self._filling, whole, open_rows, place)
        return self._asking(entities, self._missed(whole, open_rows[0]), then)

    def _filling(
        self,
        values: Mapping[str, Sequence[Any]],
        open_rows: list[int],
        place: Callable[[str, int], str],
        read: Found,
    ) -> Batch:
        """Return rows with what was read for those of them that did not send everything."""
        rows = len(values[self._features[0]])
        batch = self._made(self._filled(values, read, open_rows, place), place)
        batch.lacking, batch.as_of = self._lacking(read, open_rows, rows), read.at
        return batch

    def _made(self, found: Mapping[str, Sequence[Any]], place: Callable[[str, int], str]) -> Batch:
        """Return rows with the entities and features that the model does not take beside, for the log."""
        batch = super()._batch({name: found[name] for name in self._inputs}, place)
        kept = {
            name: tuple(None if value is _UNSET else value for value in column)
            for name, column in found.items()
            if name not in batch.values and any(value is not _UNSET for value in column)
        }
        batch.values = {**batch.values, **kept}
        return batch

    def _refuse_nulls(self, values: Mapping[str, Sequence[Any]], place: Callable[[str, int], str]) -> None:
        """Refuse a null that was sent for a feature of which the model takes none: it would be read as a number or as no text."""
        for field in self._whole_only:
            if None in values[field.name]:
                at = place(field.name, list(values[field.name]).index(None))
                msg = f"Field {field.name!r} is null. Expected {described(field)}, or leave it out: it is read online."
                raise InvalidInput(msg, field=at)

    def _refuse_large(self, values: Mapping[str, Sequence[Any]], place: Callable[[str, int], str]) -> None:
        """Refuse an entity that no integer of 64 bits can be."""
        for field in self._integers:
            for row, value in enumerate(values[field.name]):
                if type(value) is int and not -(2**63) <= value < 2**63:
                    msg = f"Field {field.name!r} is {shown(value)}. Expected an integer of 64 bits."
                    raise InvalidInput(msg, field=place(field.name, row))

    def _open(self, values: Mapping[str, Sequence[Any]], rows: int) -> list[int]:
        """Return the rows of which some feature was not sent."""
        open_rows: set[int] = set()
        for view in self._views:
            for name in view.fields:
                if _UNSET in values[name]:
                    open_rows.update(row for row, value in enumerate(values[name]) if value is _UNSET)
            if len(open_rows) == rows:
                break
        return sorted(open_rows)

    def _entities_of(
        self, values: Mapping[str, Sequence[Any]], rows: list[int], place: Callable[[str, int], str]
    ) -> dict[str, list[Any]]:
        entities: dict[str, list[Any]] = {}
        for view in self._views:
            for field in view.entities:
                column = values[field.name]
                for row in rows:
                    if column[row] is _UNSET:
                        raise self._nobody(view, field, values, row, place)
                entities[field.name] = [column[row] for row in rows]
        return entities

    def _filled(
        self,
        values: Mapping[str, Sequence[Any]],
        read: Found,
        rows: list[int],
        place: Callable[[str, int], str],
    ) -> dict[str, Sequence[Any]]:
        at = {name: number for number, name in enumerate(read.schema)}
        found = dict(values)
        for view in self._views:
            for name in view.fields:
                if _UNSET not in values[name]:
                    continue
                if name not in at:
                    msg = f"Feature view {view.view!r} no longer gives {name!r}, which version in use needs. Send it with the request."
                    raise StoreUnavailable(msg)
                column, number = list(values[name]), at[name]
                for position, row in enumerate(rows):
                    if column[row] is _UNSET:
                        column[row] = read.rows[position][number]
                if not self.fields[name].nullable and None in column:
                    raise self._without(view, name, read, place(name, column.index(None)))
                found[name] = column
        return found

    def _lacking(self, read: Found, rows: list[int], count: int) -> tuple[dict[str, str] | None, ...] | None:
        """Return of each row what is to be said of its features; None: all of them have every value."""
        if read.problem:
            told: list[dict[str, str]] = [dict.fromkeys(self._names, UNAVAILABLE)] * len(rows)
        elif not any(None in row for row in read.rows):
            return None
        else:
            told = read.lacking()
        if not any(told):
            return None
        by_row = dict(zip(rows, told, strict=True))
        return tuple(by_row.get(row) or None for row in range(count))

    def _missed(self, values: Mapping[str, Sequence[Any]], row: int) -> list[str]:
        return [name for view in self._views for name in view.fields if values[name][row] is _UNSET]

    def _nobody(
        self,
        view: OnlineView,
        field: Field,
        values: Mapping[str, Sequence[Any]],
        row: int,
        place: Callable[[str, int], str],
    ) -> InvalidInput:
        missed = next((name for name in view.fields if values[name][row] is _UNSET), view.fields[0])
        msg = (
            f"Field {missed!r} is missing, and so is {field.name!r}, whose {view.view} it would be read for. Send "
            f"{field.name!r}, or {', '.join(view.fields)}."
        )
        return InvalidInput(msg, field=place(missed, row))

    def _without(self, view: OnlineView, name: str, read: Found, place: str) -> TreadleError:
        if read.problem:
            return StoreUnavailable(
                f"Feature {name!r} of view {view.view!r} cannot be read: {read.problem} Send it with the request."
            )
        msg = f"There is no value of {name!r} in feature view {view.view!r} for this row, and the model takes none that is missing. Send it."
        return InvalidInput(msg, field=place)

    def _lacks(self, name: str, place: str) -> InvalidInput:
        return InvalidInput(
            f"Field {name!r} is missing. Expected one of kind {self.fields[name].kind}.", field=place
        )
