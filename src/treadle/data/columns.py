"""Columns: what the cells of one column of a contract must be, declared and as plain values."""

from __future__ import annotations

import math
import types as python_types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

import polars as pl

from treadle.core.clock import utc
from treadle.core.errors import InvalidDeclaration
from treadle.core.records import Record
from treadle.data.types import DTYPES, EXPECTED, TYPES, Kind, kind_of

Bound = int | float | str | bool
_INT64 = 2**63
#: What each limit needs of its column: the kinds, and what to call them.
_NEEDS: dict[str, tuple[frozenset[Kind], str]] = {
    **dict.fromkeys(
        ("ge", "gt", "le", "lt"),
        (frozenset({"str", "int", "float", "datetime", "date"}), "numbers, text or moments"),
    ),
    "allowed": (frozenset(DTYPES) - {"vector"}, "single values"),
    **dict.fromkeys(("pattern", "min_length", "max_length"), (frozenset({"str"}), "text")),
    "length": (frozenset({"vector"}), "list[float]"),
}


class ColumnSpec(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What the cells of one column must be, as plain values."""

    name: str
    kind: Kind
    nullable: bool = False
    #: Bounds; moments and days as ISO 8601 text.
    ge: Bound | None = None
    gt: Bound | None = None
    le: Bound | None = None
    lt: Bound | None = None
    #: The only values that are legal.
    allowed: tuple[Bound, ...] | None = None
    #: A regular expression that the whole text must match.
    pattern: str | None = None
    #: Characters of text.
    min_length: int | None = None
    max_length: int | None = None
    #: Numbers in a vector.
    length: int | None = None

    @property
    def annotation(self) -> str:
        """The type as a contract's class has it."""
        return f"{TYPES[self.kind]} | None" if self.nullable else TYPES[self.kind]


def Column(  # noqa: N802 - it stands where a class would, like `dataclasses.field`
    *,
    name: str | None = None,
    ge: Any = None,
    gt: Any = None,
    le: Any = None,
    lt: Any = None,
    allowed: Iterable[Any] | None = None,
    pattern: str | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    length: int | None = None,
) -> Any:
    """Say what the cells of a column must be beside their type.

    `ge`, `gt`, `le`, `lt` are bounds of numbers, text, moments and days; `allowed` the only legal values; `pattern` a
    regular expression that the whole text must match; `min_length` and `max_length` count characters; `length` is how many
    numbers a vector (`list[float]`) has. A missing value is judged by the type alone.
    `name` is the column's name where that is no Python identifier, as in `plan: str = Column(name="Plan Type")`; rules,
    keys, inputs and requests call it by that name.
    """
    return {
        "name": name,
        "ge": ge,
        "gt": gt,
        "le": le,
        "lt": lt,
        "allowed": None if allowed is None else tuple(allowed),
        "pattern": pattern,
        "min_length": min_length,
        "max_length": max_length,
        "length": length,
    }


def column(name: str, hint: Any, declared: Any, *, contract: str) -> ColumnSpec:
    """Return the column that an annotation and the value beside it declare.

    Raises:
        InvalidDeclaration: it cannot hold; the message says what can.
    """
    called = column_name(name, declared)
    where = f"Contract {contract!r}, column {called!r}"
    kind, nullable = _kind(hint)
    if kind is None:
        msg = f"{where}: the type {hint!r} is not one that a column can have. Expected {expected_types()}."
        raise InvalidDeclaration(msg, field=called)
    if declared is None:
        return ColumnSpec(name=called, kind=kind, nullable=nullable)
    if not isinstance(declared, dict):
        msg = f"{where}: {declared!r} is not td.Column(...). A column has no default value."
        raise InvalidDeclaration(msg, field=called)
    limits = {limit: value for limit, value in declared.items() if value is not None and limit != "name"}
    return ColumnSpec(name=called, kind=kind, nullable=nullable, **_limits(limits, kind, where=where))


def column_name(attribute: str, declared: Any) -> str:
    """Return the column's own name: the attribute's, or the one that is declared beside it."""
    return (isinstance(declared, dict) and declared.get("name")) or attribute


def expected_types() -> str:
    """Return in words which annotations a column can have."""
    *most, last = TYPES.values()
    return f"{', '.join(most)} or {last}, or one of them with `| None`"


def python_value(bound: Bound, kind: Kind) -> Any:
    """Return a stored bound as the value that it stands for."""
    if kind == "datetime":
        return datetime.fromisoformat(str(bound))
    return date.fromisoformat(str(bound)) if kind == "date" else bound


def _limits(limits: Mapping[str, Any], kind: Kind, *, where: str) -> dict[str, Any]:
    for limit in limits:
        kinds, words = _NEEDS[limit]
        if kind not in kinds:
            msg = f"{where}: {limit}= needs {words}; the column is {TYPES[kind]}."
            raise InvalidDeclaration(msg)
    return {limit: _limit(limit, value, kind, where=f"{where}, {limit}") for limit, value in limits.items()}


def _limit(limit: str, value: Any, kind: Kind, *, where: str) -> Any:
    if limit in {"ge", "gt", "le", "lt"}:
        return _bound(value, kind, where=where)
    if limit == "allowed":
        return tuple(_bound(one, kind, where=where) for one in value)
    if limit == "pattern":
        return _checked_pattern(value, where=where)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    msg = f"{where}: {value!r} is no length. Expected an integer, 0 or more."
    raise InvalidDeclaration(msg)


def whole(pattern: str) -> str:
    """Return the regular expression that matches where the whole text matches another one."""
    return f"^(?:{pattern})$"


def _checked_pattern(pattern: Any, *, where: str) -> str:
    if not isinstance(pattern, str):
        msg = f"{where}: {pattern!r} is not a regular expression. Expected text, as '[A-Z]{{3}}'."
        raise InvalidDeclaration(msg)
    try:
        pl.Series([""]).str.contains(pattern)
        pl.Series([""]).str.contains(whole(pattern))
    except pl.exceptions.ComputeError as error:
        msg = f"{where}: {pattern!r} is not a regular expression that Polars knows: {error}"
        raise InvalidDeclaration(msg) from error
    return pattern


def _bound(value: Any, kind: Kind, *, where: str) -> Bound:
    """Return a bound as a plain value of the column's kind."""
    if kind == "datetime" and isinstance(value, datetime):
        return utc(value).isoformat()
    if kind == "date" and isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if kind == "uuid" and isinstance(value, UUID):
        return str(value)
    fits: Any = {"str": str, "int": int, "float": (int, float), "bool": bool}.get(kind, ())
    if isinstance(value, fits) and (kind == "bool" or not isinstance(value, bool)) and _is_kept(value):
        return float(value) if kind == "float" else typing.cast("Bound", value)
    msg = f"{where}: {value!r} is not {EXPECTED[kind]}."
    raise InvalidDeclaration(msg)


def _is_kept(value: object) -> bool:
    """Whether a number is one that a column can hold: finite, and an integer of 64 bits."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -_INT64 <= value < _INT64


def _kind(hint: Any) -> tuple[Kind | None, bool]:
    """Return the kind of an annotation, and whether it allows None."""
    if typing.get_origin(hint) in {typing.Union, python_types.UnionType}:
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        nullable = len(options) < len(typing.get_args(hint))
        return (kind_of(options[0]) if len(options) == 1 else None), nullable
    return kind_of(hint), False
