"""Contracts: what every row of a dataset must be, declared as a class.

    class Flight(Contract):
        flight_id: str
        distance: int = Column(ge=1, le=6000)
        tailnum: str | None

        @rule("a flight goes somewhere else")
        def goes_somewhere(self):
            return pl.col("origin") != pl.col("dest")

A column whose type is `X | None` may have no value. A rule is a Polars expression that is true for a good row; where it
is null, as it mostly is when a value is missing, the row counts as good.
"""

from __future__ import annotations

import inspect
import sys
import types as python_types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, ClassVar

import polars as pl

from treadle.core.clock import utc
from treadle.core.errors import InvalidDeclaration
from treadle.core.ids import digest_of, digest_of_bytes
from treadle.core.records import Record
from treadle.data.raw import Raw
from treadle.data.types import DTYPES, EXPECTED, Kind, kind_of

Bound = int | float | str | bool
_RULE = "_treadle_rule"


class ColumnSpec(Record, frozen=True, kw_only=True):
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


class RuleSpec(Record, frozen=True, kw_only=True):
    """A rule about whole rows."""

    name: str
    #: What it demands, in words.
    text: str
    #: Digest of its expression.
    digest: str


class ContractSpec(Record, frozen=True, kw_only=True):
    """A contract as plain values, as stored with its dataset."""

    name: str
    columns: tuple[ColumnSpec, ...]
    rules: tuple[RuleSpec, ...] = ()
    #: Whether nobody declared it: the types are those of the first rows that came.
    inferred: bool = False

    @property
    def digest(self) -> str:
        """The digest of all that decides whether a row is good; the same in every process."""
        return digest_of({"columns": self.columns, "rules": self.rules})

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def dtypes(self) -> dict[str, pl.DataType]:
        """How each column is stored, in order."""
        return {column.name: DTYPES[column.kind] for column in self.columns}

    @property
    def schema(self) -> tuple[tuple[str, str], ...]:
        """Columns and their types as Polars names them, as a dataset version records them."""
        return tuple((name, str(dtype)) for name, dtype in self.dtypes.items())

    def column(self, name: str) -> ColumnSpec:
        """Return one column; it must exist."""
        return next(column for column in self.columns if column.name == name)


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
) -> Any:
    """Say what the cells of a column must be beside their type.

    `ge`, `gt`, `le`, `lt` are bounds of numbers, moments and days; `allowed` the only legal values; `pattern` a regular
    expression that the whole text must match; the lengths count characters. A missing value is judged by the type alone.
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
    }


def rule(text: str) -> Callable[[Callable[[Any], pl.Expr]], Callable[[Any], pl.Expr]]:
    """Make a method of a contract a rule: it returns an expression that is true for a good row."""

    def mark(method: Callable[[Any], pl.Expr]) -> Callable[[Any], pl.Expr]:
        setattr(method, _RULE, text)
        return method

    return mark


class Contract:
    """What every row must be: one annotation for each column; see the module.

    >>> class Flight(Contract):
    ...     flight_id: str
    ...     distance: int = Column(ge=1)
    >>> Flight.spec().names
    ('flight_id', 'distance')
    """

    _spec: ClassVar[ContractSpec]
    _rules: ClassVar[dict[str, pl.Expr]]

    def __init_subclass__(cls) -> None:
        """Read the declaration, and refuse one that cannot hold."""
        cls._rules = _rules_of(cls)
        cls._spec = ContractSpec(
            name=cls.__name__,
            columns=tuple(_column(cls, name, *found) for name, found in _hints(cls).items()),
            rules=tuple(_rule_spec(cls, name, expression) for name, expression in cls._rules.items()),
        )
        if not cls._spec.columns:
            msg = (
                f"Contract {cls.__name__!r} has no columns. Declare each as an annotation, as: flight_id: str"
            )
            raise InvalidDeclaration(msg)
        names = cls._spec.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            msg = f"Contract {cls.__name__!r} has two columns named {twice[0]!r}. Take out one of them."
            raise InvalidDeclaration(msg, field=twice[0])

    @classmethod
    def spec(cls) -> ContractSpec:
        """Return the contract as plain values."""
        return cls._spec

    @classmethod
    def rules(cls) -> Mapping[str, pl.Expr]:
        """Return the expression of each rule by its name."""
        return cls._rules


def raw_frame(frame: pl.DataFrame, *, file: str = "") -> Raw:
    """Return a frame as rows that landed, to be checked."""
    return Raw(file=file, frame=frame, form="typed")


def _hints(cls: type) -> dict[str, tuple[Any, Any]]:
    """Return the annotation and the value beside it of each column, those of bases first."""
    found: dict[str, tuple[Any, Any]] = {}
    for base in reversed(cls.__mro__):
        names = [name for name in vars(base).get("__annotations__", {}) if not name.startswith("_")]
        if base is Contract or not names:
            continue
        module = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        try:
            hints = inspect.get_annotations(
                base, globals={"datetime": datetime, "date": date, **module}, eval_str=True
            )
        except (NameError, TypeError) as error:
            msg = f"Contract {cls.__name__!r}: an annotation cannot be read: {error}. Expected {_types()}."
            raise InvalidDeclaration(msg) from error
        found |= {name: (hints[name], vars(base).get(name)) for name in names}
    return found


def _column(cls: type, name: str, hint: Any, declared: Any) -> ColumnSpec:
    name = _called(name, declared)
    where = f"Contract {cls.__name__!r}, column {name!r}"
    kind, nullable = _kind(hint)
    if kind is None:
        msg = f"{where}: the type {hint!r} is not one that a column can have. Expected {_types()}."
        raise InvalidDeclaration(msg, field=name)
    if declared is None:
        return ColumnSpec(name=name, kind=kind, nullable=nullable)
    if not isinstance(declared, dict):
        msg = f"{where}: {declared!r} is not td.Column(...). A column has no default value."
        raise InvalidDeclaration(msg, field=name)
    return ColumnSpec(name=name, kind=kind, nullable=nullable, **_limits(declared, kind, where=where))


def _called(name: str, declared: Any) -> str:
    """Return the column's own name: the attribute's, or the one that is declared beside it."""
    return (isinstance(declared, dict) and declared.get("name")) or name


def _limits(declared: Mapping[str, Any], kind: Kind, *, where: str) -> dict[str, Any]:
    limits = {name: value for name, value in declared.items() if value is not None and name != "name"}
    for name in limits.keys() & {"ge", "gt", "le", "lt"}:
        if kind == "bool":
            msg = f"{where}: {name}= needs numbers, text or moments; the column is bool."
            raise InvalidDeclaration(msg)
        limits[name] = _bound(limits[name], kind, where=f"{where}, {name}")
    if "allowed" in limits:
        limits["allowed"] = tuple(
            _bound(value, kind, where=f"{where}, allowed") for value in limits["allowed"]
        )
    textual = limits.keys() & {"pattern", "min_length", "max_length"}
    if textual and kind != "str":
        msg = f"{where}: {', '.join(sorted(textual))} needs text; the column is {kind}."
        raise InvalidDeclaration(msg)
    if "pattern" in limits:
        _check_pattern(limits["pattern"], where=where)
    return limits


def _check_pattern(pattern: str, *, where: str) -> None:
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.ComputeError as error:
        msg = f"{where}: {pattern!r} is not a regular expression that Polars knows: {error}"
        raise InvalidDeclaration(msg) from error


def _bound(value: Any, kind: Kind, *, where: str) -> Bound:
    """Return a bound as a plain value of the column's kind."""
    if kind == "datetime" and isinstance(value, datetime):
        return utc(value).isoformat()
    if kind == "date" and isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    fits: Any = {"str": str, "int": int, "float": (int, float), "bool": bool}.get(kind, ())
    if isinstance(value, fits) and (kind == "bool" or not isinstance(value, bool)):
        return float(value) if kind == "float" else typing.cast("Bound", value)
    msg = f"{where}: {value!r} is not {EXPECTED[kind]}."
    raise InvalidDeclaration(msg)


def _kind(hint: Any) -> tuple[Kind | None, bool]:
    """Return the kind of an annotation, and whether it allows None."""
    if typing.get_origin(hint) in {typing.Union, python_types.UnionType}:
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        nullable = len(options) < len(typing.get_args(hint))
        return (kind_of(options[0]) if len(options) == 1 else None), nullable
    return kind_of(hint), False


def _types() -> str:
    return "str, int, float, bool, datetime or date, or one of them with `| None`"


def _rules_of(cls: type) -> dict[str, pl.Expr]:
    rules: dict[str, pl.Expr] = {}
    for base in reversed(cls.__mro__):
        for name, method in vars(base).items():
            if hasattr(method, _RULE):
                rules[name] = _expression(cls, name, method(cls))
    return rules


def _expression(cls: type, name: str, value: object) -> pl.Expr:
    if isinstance(value, pl.Expr):
        return value
    msg = f"Contract {cls.__name__!r}, rule {name!r} returned {value!r}. Expected a Polars expression that is true for a good row."
    raise InvalidDeclaration(msg, field=name)


def _rule_spec(cls: type, name: str, expression: pl.Expr) -> RuleSpec:
    text = str(getattr(getattr(cls, name), _RULE))
    known = {_called(attribute, declared) for attribute, (_, declared) in _hints(cls).items()}
    missing = sorted(set(expression.meta.root_names()) - known)
    if missing:
        msg = f"Contract {cls.__name__!r}, rule {name!r} reads the column {missing[0]!r}, which is not declared."
        raise InvalidDeclaration(msg, field=name)
    try:
        written = expression.meta.serialize(format="json").encode()
    except pl.exceptions.ComputeError:
        written = str(expression).encode()
    return RuleSpec(name=name, text=text, digest=digest_of_bytes(written))
