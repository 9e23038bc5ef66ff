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
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

import polars as pl

from treadle.core.errors import InvalidDeclaration
from treadle.core.ids import digest_of, digest_of_bytes
from treadle.core.records import Record
from treadle.data.columns import Column as Column
from treadle.data.columns import ColumnSpec as ColumnSpec
from treadle.data.columns import column, expected_types
from treadle.data.raw import Raw
from treadle.data.types import DTYPES

_RULE = "_treadle_rule"


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
        _check_attributes(cls)
        columns = tuple(column(name, *found, contract=cls.__name__) for name, found in _hints(cls).items())
        _check_names([one.name for one in columns], cls)
        cls._rules = _rules_of(cls)
        dtypes = {one.name: DTYPES[one.kind] for one in columns}
        rules = tuple(_rule_spec(cls, name, dtypes=dtypes) for name in cls._rules)
        cls._spec = ContractSpec(name=cls.__name__, columns=columns, rules=rules)

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


def looks_at_others(expression: pl.Expr) -> bool:
    """Say whether the value of an expression for a row certainly depends on other rows.

    Such a rule would judge a row by the batch in which it happens to land.
    """
    try:
        is_one_value = expression.meta.is_scalar() and bool(expression.meta.root_names())
        return is_one_value or not expression.meta.is_row_separable()
    except pl.exceptions.PolarsError:
        # A Python function: Polars cannot tell.
        return False


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
                base, globals={"datetime": datetime, "date": date, "UUID": UUID, **module}, eval_str=True
            )
        except (NameError, TypeError) as error:
            msg = f"Contract {cls.__name__!r}: an annotation cannot be read: {error}. Expected {expected_types()}."
            raise InvalidDeclaration(msg) from error
        found |= {name: (hints[name], vars(base).get(name)) for name in names}
    return found


def _check_attributes(cls: type) -> None:
    """Refuse columns that would hide what a contract itself can do."""
    for name in ("spec", "rules"):
        if isinstance(vars(cls).get(name), dict):
            msg = f"Contract {cls.__name__!r}: no attribute can be called {name!r}. Declare {name}_: … = td.Column(name={name!r}, …)."
            raise InvalidDeclaration(msg, field=name)


def _check_names(names: Sequence[str], cls: type) -> None:
    if not names:
        msg = f"Contract {cls.__name__!r} has no columns. Declare each as an annotation, as: flight_id: str"
        raise InvalidDeclaration(msg)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"Contract {cls.__name__!r} has two columns named {twice[0]!r}. Take out one of them."
        raise InvalidDeclaration(msg, field=twice[0])


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


def _rule_spec(cls: type[Contract], name: str, *, dtypes: Mapping[str, pl.DataType]) -> RuleSpec:
    expression, where = cls.rules()[name], f"Contract {cls.__name__!r}, rule {name!r}"
    missing = sorted(set(expression.meta.root_names()) - dtypes.keys())
    if missing:
        msg = f"{where} reads the column {missing[0]!r}, which is not declared."
        raise InvalidDeclaration(msg, field=name)
    if looks_at_others(expression):
        msg = (
            f"{where} looks at more than one row: {expression}. A rule judges each row by itself; for many rows there are "
            "the dataset's own, as rules=[td.rules.Unique('tailnum', 'day')]."
        )
        raise InvalidDeclaration(msg, field=name)
    _check_boolean(expression, dtypes, where=where)
    text = str(getattr(getattr(cls, name), _RULE))
    return RuleSpec(name=name, text=text, digest=_digest(expression))


def _check_boolean(expression: pl.Expr, dtypes: Mapping[str, pl.DataType], *, where: str) -> None:
    try:
        (kind,) = pl.LazyFrame(schema=dtypes).select(expression).collect_schema().dtypes()
    except pl.exceptions.PolarsError as error:
        msg = f"{where} cannot be computed from these columns: {error}"
        raise InvalidDeclaration(msg) from error
    if kind not in {pl.Boolean(), pl.Null(), pl.Unknown()}:
        msg = f"{where} gives {kind} and not true or false. Expected a condition, as pl.col('x') > 0."
        raise InvalidDeclaration(msg)


def _digest(expression: pl.Expr) -> str:
    try:
        written = expression.meta.serialize(format="json").encode()
    except pl.exceptions.ComputeError:
        written = str(expression).encode()
    return digest_of_bytes(written)
