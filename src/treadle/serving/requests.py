"""Typed reading of request rows: what fits the signature becomes arrays, what does not becomes a named refusal.

Rows and columns are decoded by a struct that is made from the signature, so decoding and checking are one pass at
C speed; only when that pass fails is the body looked at again, to say where and what.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from treadle.core.errors import InvalidInput, TooLarge, closest
from treadle.core.signature import Field, Signature
from treadle.serving.encoding import PYTHON, described, encode

_AT_ROW = re.compile(r"^(.*?) - at `\$\[(\d+)\](?:\.(.*))?`$", re.DOTALL)
_AT_COLUMN = re.compile(r"^(.*?) - at `\$\.(.*?)(?:\[(\d+)\])?`$", re.DOTALL)
_NAMED = re.compile(r"(missing required|contains unknown) field `(.*)`", re.DOTALL)
_AS_PYTHON = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
_BYTE = re.compile(r"\(byte (\d+)\)$")

_ASTUPLE = msgspec.structs.astuple


class Batch(msgspec.Struct, gc=False):
    """The rows of one request; what the model is fed is made of them when it is asked for."""

    #: Number of rows.
    rows: int
    #: Name → values as they came (None: missing), for the log; with the entities whose features were read.
    values: dict[str, Sequence[Any]]
    #: Makes the columns of the values.
    encode: Callable[[dict[str, Sequence[Any]]], dict[str, np.ndarray]]
    #: Of each row, the feature views that had no value for it and why; None: nothing lacks.
    lacking: tuple[dict[str, str] | None, ...] | None = None
    #: The moment as of which features were read; None: none were.
    as_of: datetime | None = None
    #: Whether features of it are still to be read; see `wanted.Open`.
    is_open: bool = False
    encoded_columns: dict[str, np.ndarray] | None = None

    @classmethod
    def encoded(cls, columns: Mapping[str, np.ndarray]) -> Batch:
        """Return rows whose columns are encoded already; they have no values to be logged."""
        return cls(len(next(iter(columns.values()), ())), {}, lambda _: dict(columns))

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Name → array of shape (rows,), as the model is fed.

        Raises:
            InvalidInput: a value does not fit its tensor.
        """
        if self.encoded_columns is None:
            self.encoded_columns = self.encode(self.values)
        return self.encoded_columns


class Reader:
    """Reads the rows of requests to one model version."""

    def __init__(self, signature: Signature, *, max_rows: int) -> None:
        self.signature = signature
        self.max_rows = max_rows
        #: What may be left out of a request.
        self.optional: frozenset[str] = frozenset()
        #: Name → field, for protocols that need it.
        self.fields = {field.name: field for field in signature.inputs}
        rename = {f"f{i}": field.name for i, field in enumerate(signature.inputs)}
        types = [(f"f{i}", _python(field)) for i, field in enumerate(signature.inputs)]
        lists = [(name, list[kind]) for name, kind in types]  # type: ignore[valid-type]
        self._row = msgspec.defstruct("Row", types, rename=rename, forbid_unknown_fields=True)
        self._table = msgspec.defstruct("Table", lists, rename=rename, forbid_unknown_fields=True)
        self._rows_of = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]
        self._table_of = msgspec.json.Decoder(self._table)
        self._from_rows, self._from_columns = self._arrays_at(in_rows), self._arrays_at(_in_columns)

    def rows(self, text: bytes | msgspec.Raw) -> Batch:
        """Read a JSON array of objects, one for each row.

        Raises:
            InvalidInput: a field is missing, unknown or has the wrong type; `field` is as `rows[3].distance`.
        """
        try:
            found = self._rows_of.decode(text)
        except msgspec.ValidationError as error:
            raise self._explain_row(error, _untyped(text)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(error, bytes(text)) from error
        return self._batch_of_rows(found)

    def objects(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        """Read rows given as Python mappings, under the same rules as JSON.

        Raises:
            InvalidInput: as for `rows`.
        """
        try:
            found = msgspec.convert(rows, list[self._row])  # type: ignore[name-defined]
        except msgspec.ValidationError as error:
            raise self._explain_row(error, rows) from error
        return self._batch_of_rows(found)

    def table(self, text: bytes | msgspec.Raw) -> Batch:
        """Read a JSON object of columns, each an array of one value for each row.

        Raises:
            InvalidInput: as for `rows`; `field` is as `columns.distance[3]`.
        """
        try:
            found = self._table_of.decode(text)
        except msgspec.ValidationError as error:
            raise self._explain_column(error, _untyped(text)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(error, bytes(text)) from error
        return self._batch(dict(zip(self.fields, _ASTUPLE(found), strict=True)), _in_columns)

    def values(self, columns: Mapping[str, Sequence[Any]], *, place: Callable[[str, int], str]) -> Batch:
        """Read columns of Python values that a protocol has unpacked.

        Raises:
            InvalidInput: as for `rows`; `place(name, row)` makes its `field`.
        """
        try:
            found = msgspec.convert(columns, self._table)
        except msgspec.ValidationError:
            return self._batch(self._one_by_one(columns, place), place)
        return self._batch(dict(zip(self.fields, _ASTUPLE(found), strict=True)), place)

    def _one_by_one(
        self, columns: Mapping[str, Sequence[Any]], place: Callable[[str, int], str]
    ) -> dict[str, Sequence[Any]]:
        """Read columns so slowly that it can be said which value does not fit."""
        for name in columns:
            if name not in self.fields:
                msg = f"Unknown field {name!r}. {closest(name, self.fields)}"
                raise InvalidInput(msg, field=name)
        typed: dict[str, Sequence[Any]] = {}
        for name, field in self.fields.items():
            if name not in columns:
                raise _missing(field, name)
            typed[name] = self._typed(field, columns[name], place)
        return typed

    def _typed(self, field: Field, values: Sequence[Any], place: Callable[[str, int], str]) -> list[Any]:
        try:
            return msgspec.convert(values, list[_python(field)])  # type: ignore[misc, no-any-return]
        except msgspec.ValidationError as error:
            found = re.search(r"`\$\[(\d+)\]`$", str(error))
            row = int(found[1]) if found else 0
            raise _wrong(field, values[row], place(field.name, row), str(error)) from error

    def _batch_of_rows(self, found: Sequence[Any]) -> Batch:
        rows = len(found)
        if not 0 < rows <= self.max_rows:
            self.check_count(rows, "rows")
        # Of one row, which most requests have, each value is a column already.
        columns = zip(_ASTUPLE(found[0])) if rows == 1 else zip(*map(_ASTUPLE, found))  # noqa: B905
        return Batch(rows, dict(zip(self.fields, columns)), self._from_rows)  # noqa: B905 - one struct's fields

    def _batch(self, values: dict[str, Sequence[Any]], place: Callable[[str, int], str]) -> Batch:
        lengths = set(map(len, values.values()))
        rows = len(next(iter(values.values()), ()))
        for name, column in values.items() if len(lengths) > 1 else ():
            if len(column) != rows:
                first = next(iter(values))
                msg = f"Field {name!r} has {len(column)} values, {first!r} has {rows}. Expected one for each row."
                raise InvalidInput(msg, field=name)
        self.check_count(rows, "columns")
        return Batch(rows, values, self._arrays_at(place))

    def _arrays_at(
        self, place: Callable[[str, int], str]
    ) -> Callable[[Mapping[str, Sequence[Any]]], dict[str, np.ndarray]]:
        """Return what encodes values; `place` says where one of them is that does not fit."""
        return partial(self._arrays, place)

    def _arrays(
        self, place: Callable[[str, int], str], values: Mapping[str, Sequence[Any]]
    ) -> dict[str, np.ndarray]:
        return {
            name: encode(self.fields[name], values[name], place=partial(place, name))
            for name in self.signature.names
        }

    def joined(self, batches: Sequence[Batch]) -> Batch:
        """Return the rows of several requests as those of one."""
        every = [batch.values for batch in batches]
        values: dict[str, Sequence[Any]] = {
            name: list(chain.from_iterable([values[name] for values in every]))
            for name in self.signature.names
        }
        return Batch(sum([batch.rows for batch in batches]), values, self._from_columns)

    def check_count(self, rows: int, place: str) -> None:
        """Refuse a request without rows, or with more than the limit.

        Raises:
            InvalidInput: there are none.
            TooLarge: there are too many.
        """
        if rows == 0:
            msg = f"The request has no rows. Expected 1 to {self.max_rows}."
            raise InvalidInput(msg, field=place)
        if rows > self.max_rows:
            msg = f"The request has {rows} rows. At most {self.max_rows} are allowed (setting serving.max_rows)."
            raise TooLarge(msg, field=place)

    def _explain_row(self, error: msgspec.ValidationError, body: Any) -> InvalidInput:
        found = _AT_ROW.match(str(error))
        if not found:
            msg = f"The rows are {shown(body)}. Expected an array of objects with {', '.join(self.fields)}."
            return InvalidInput(msg, field="rows")
        problem, row, name = found[1], int(found[2]), found[3]
        if name in self.fields:
            return _wrong(self.fields[name], body[row].get(name), f"rows[{row}].{name}", problem)
        return self._explain_object(problem, body[row], f"rows[{row}]")

    def _explain_column(self, error: msgspec.ValidationError, body: Any) -> InvalidInput:
        found = _AT_COLUMN.match(str(error))
        if found and found[2] in self.fields:
            problem, name, row = found[1], found[2], found[3]
            if row is None:
                msg = f"Column {name!r} is {shown(body[name])}. Expected an array of one value for each row."
                return InvalidInput(msg, field=f"columns.{name}")
            return _wrong(self.fields[name], body[name][int(row)], f"columns.{name}[{row}]", problem)
        return self._explain_object(str(error), body, "columns")

    def _explain_object(self, problem: str, value: Any, place: str) -> InvalidInput:
        named = _NAMED.search(problem)
        if not named:
            msg = f"{place} is {shown(value)}. Expected an object with {', '.join(self.fields)}."
            return InvalidInput(msg, field=place)
        name = named[2]
        if named[1].startswith("missing"):
            return _missing(self.fields[name], f"{place}.{name}")
        msg = f"Unknown field {name!r}. {closest(name, self.fields)}"
        return InvalidInput(msg, field=f"{place}.{name}")


def envelope(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Decode the outer part of a body.

    Raises:
        InvalidInput: it is not JSON, or not of the expected shape.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _misfit(error, decoder.type) from error
    except RecursionError as error:
        msg = "The body is nested too deeply. Expected rows of plain values."
        raise InvalidInput(msg) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(error, body) from error


def malformed(error: Exception, body: bytes) -> InvalidInput:
    """Return the refusal of a body that is not JSON; NaN and Infinity, which JSON does not have, are named."""
    at = _BYTE.search(str(error))
    start = int(at[1]) if at else len(body)
    rest = body[start - 1 if body[start - 1 : start] == b"-" else start :]
    for literal in _AS_PYTHON:
        if rest.startswith(literal.encode()):
            field = _literal_place(body, literal)
            msg = f"{literal} came where a finite number was expected; JSON has no {literal}. A missing value is null."
            return InvalidInput(msg, field=field)
    return InvalidInput(f"The body is not JSON: {error}. Expected a JSON object.")


def shown(value: Any) -> str:
    """Return a short description of a JSON value."""
    if isinstance(value, dict | list | tuple):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    if isinstance(value, _Unreadable):
        return "a value that cannot be read"
    plain = isinstance(value, str | float)
    text = repr(value) if plain else msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"


class _Unreadable:
    """Stands for a body that can be read neither with types nor without."""

    def __getitem__(self, place: Any) -> _Unreadable:
        return self

    def get(self, place: Any) -> _Unreadable:
        return self[place]


def _untyped(text: bytes | msgspec.Raw) -> Any:
    """Return a body that did not fit its types as plain values, to say what came."""
    try:
        return json.loads(bytes(text))
    except (ValueError, RecursionError):
        return _Unreadable()


def _literal_place(body: bytes, literal: str) -> str | None:
    try:
        tree = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return next(_places(tree, literal, ""), None)


def _places(value: Any, literal: str, place: str) -> Any:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _places(part, literal, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _places(part, literal, f"{place}[{number}]")
    elif isinstance(value, float) and repr(value) == _AS_PYTHON[literal]:
        yield place


def _misfit(error: msgspec.ValidationError, shape: Any) -> InvalidInput:
    """Return the refusal of a body whose outer part does not fit, with the place as `keys[0].a`."""
    text, _, at = str(error).partition(" - at ")
    place = at.strip("`").removeprefix("$").removeprefix(".")
    named = _NAMED.search(text)
    if named:
        place = f"{place}.{named[2]}" if place else named[2]
    known = getattr(shape, "__struct_encode_fields__", ())
    is_unknown = named and named[1] == "contains unknown" and place == named[2]
    expected = f" {closest(place, known)}" if is_unknown else ""
    return InvalidInput(
        f"The body does not fit: {text.replace('`', chr(39))}.{expected}", field=place or None
    )


def _python(field: Field) -> Any:
    kind = PYTHON[field.kind]
    return kind | None if field.nullable else kind


def in_rows(name: str, row: int) -> str:
    """Return the place of a value among rows."""
    return f"rows[{row}].{name}"


def _in_columns(name: str, row: int) -> str:
    return f"columns.{name}[{row}]"


def _missing(field: Field, place: str) -> InvalidInput:
    msg = f"Field {field.name!r} is missing. Expected {described(field)}."
    return InvalidInput(msg, field=place)


def _wrong(field: Field, value: Any, place: str, problem: str) -> InvalidInput:
    about = f" ({problem})" if problem.startswith("Invalid") else ""
    msg = f"Field {field.name!r} is {shown(value)}{about}. Expected {described(field)}."
    return InvalidInput(msg, field=place)
