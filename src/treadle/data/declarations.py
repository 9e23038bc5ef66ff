"""What a user declares about a dataset: its rows, its key and time, its outcomes, its split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from treadle.core.errors import InvalidDeclaration
from treadle.core.records import SplitSpec
from treadle.data.contracts import Contract, ContractSpec
from treadle.data.dataset_rules import Rule, check_rules, is_share
from treadle.data.raw import OrderedSource, Source
from treadle.data.splits import HashSplit, TimeSplit
from treadle.data.types import KEYS

#: When a row was ingested; Treadle's own column.
INGESTED_AT = "_ingested_at"


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """True values that arrive later, in files of their own, with the key of the row that they belong to.

    `columns` are joined to the rows when these are read; other columns of the files are kept and not joined. `arrived` is
    the column that says when an outcome became known; without it, it is known from the moment at which it was ingested.
    The first outcome of a key stays: the same once more changes nothing, another one is quarantined. With `updated`, the
    column that says when a value was last changed, the latest one takes its place.
    """

    source: Source | OrderedSource
    columns: Sequence[str]
    contract: type[Contract] | None = None
    arrived: str | None = None
    updated: str | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        if isinstance(self.columns, str) or not self.columns:
            msg = f"Outcomes(columns={self.columns!r}) names no column. Expected a list, as ['late']."
            raise InvalidDeclaration(msg, field="columns")


@dataclass(frozen=True)
class Dataset:
    """A named table that only grows.

    `key` (a column or several) tells rows apart, `time` is the moment that the row is about. The outcome stands in the row
    (`outcome="late"`) or comes later (`outcomes=Outcomes(...)`). Without a contract the types of the first rows hold;
    without `time` a row is about the moment at which it was ingested.

    `updated` is the column (a moment or a number) that says when a row was last changed: a row with a known key and a later
    value there is a *correction*, and takes the place of the earlier form in the next version; its split stays. Without it
    a known key with other values is quarantined. `deleted` is the column (true, or the moment) that marks a row as gone.

    `rules` (as `td.rules.Rows(at_least=1)`) judge the new rows as a whole: where one that stops is broken, nothing of the
    ingestion is taken in. `most_bad` is the share of bad rows, 0 to 1, from which on an ingestion stops instead of sending them
    to quarantine.
    """

    name: str
    source: Source | OrderedSource
    key: str | Sequence[str]
    time: str | None = None
    contract: type[Contract] | None = None
    outcome: str | None = None
    outcomes: Outcomes | None = None
    split: HashSplit | TimeSplit | None = None
    updated: str | None = None
    deleted: str | None = None
    rules: Sequence[Rule] = ()
    most_bad: float | None = None

    def __post_init__(self) -> None:
        """Check what was declared."""
        where = f"Dataset {self.name!r}"
        if (
            not self.name
            or not self.name.replace("_", "").replace("-", "").isalnum()
            or not self.name.isascii()
        ):
            msg = f"{where}: a name holds ASCII letters, digits, '-' and '_' only."
            raise InvalidDeclaration(msg, field="name")
        if not self.key_columns:
            msg = f"{where} has no key. Name the column, or columns, whose values tell rows apart."
            raise InvalidDeclaration(msg, field="key")
        if not hasattr(self.source, "listing") and not hasattr(self.source, "batches"):
            msg = f"{where}: source is {self.source!r}; expected for example td.Files('landing/*.csv')."
            raise InvalidDeclaration(msg, field="source")
        if self.outcome and self.outcomes:
            msg = f"{where} has both outcome= and outcomes=. Expected one: in the row, or kept apart."
            raise InvalidDeclaration(msg, field="outcome")
        if self.most_bad is not None and not is_share(self.most_bad):
            msg = f"{where}: most_bad={self.most_bad!r} is no share. Expected a number from 0 to 1, as 0.05."
            raise InvalidDeclaration(msg, field="most_bad")
        if self.contract is not None:
            self._check_columns(self.contract.spec(), where)
        if self.outcomes is not None and self.outcomes.contract is not None:
            self._check_outcomes(self.outcomes, self.outcomes.contract.spec(), where)

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the key."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)

    @property
    def time_column(self) -> str:
        """The column of the event time; where none is declared, the moment at which a row was ingested stands for it."""
        return self.time or INGESTED_AT

    @property
    def outcome_columns(self) -> tuple[str, ...]:
        """The columns of the outcome, in the row or kept apart; none: nothing is known later."""
        if self.outcomes is not None:
            return tuple(self.outcomes.columns)
        return (self.outcome,) if self.outcome else ()

    @property
    def split_spec(self) -> SplitSpec | None:
        """The split as it is stored."""
        return self.split.spec(self.name, key=self.key_columns, time=self.time) if self.split else None

    def parts(self) -> dict[str, Part]:
        """Return the kinds of rows that the dataset reads: `rows`, and `outcomes` where they are kept apart."""
        needed = [*self.key_columns, *filter(None, (self.time, self.updated))]
        found = {
            "rows": Part(
                name="rows",
                source=self.source,
                contract=self.contract,
                needed=tuple(dict.fromkeys(needed)),
                updated=self.updated,
                skips=tuple(rule.spec() for rule in self.rules if rule.severity == "skip"),
            )
        }
        if self.outcomes is not None:
            late = self.outcomes
            stamps = tuple(dict.fromkeys(filter(None, (late.arrived, late.updated))))
            found["outcomes"] = Part(
                name="outcomes",
                source=late.source,
                contract=late.contract,
                needed=(*self.key_columns, *stamps),
                passed_over=stamps,
                updated=late.updated,
            )
        return found

    def _check_columns(self, spec: ContractSpec, where: str) -> None:
        group = self.split.groups if self.split else ()
        for role, names in {
            "key": self.key_columns,
            "time": (self.time,) if self.time else (),
            "outcome": (self.outcome,) if self.outcome else (),
            "group": group,
            "updated": (self.updated,) if self.updated else (),
            "deleted": (self.deleted,) if self.deleted else (),
        }.items():
            check_declared(names, spec, where=f"{where}, {role}")
        check_stamps(spec, updated=self.updated, deleted=self.deleted, where=where)
        check_rules(self.rules, spec, time=self.time, where=where)
        check_roles(spec, keys=self.key_columns, moment=self.time, group=group, where=where)

    def _check_outcomes(self, outcomes: Outcomes, spec: ContractSpec, where: str) -> None:
        where = f"{where}, outcomes"
        stamps = filter(None, (outcomes.arrived, outcomes.updated))
        check_declared((*self.key_columns, *outcomes.columns, *stamps), spec, where=where)
        check_stamps(spec, updated=outcomes.updated, deleted=None, where=where)
        check_roles(spec, keys=self.key_columns, moment=outcomes.arrived, group=(), where=where)
        if self.contract is None:
            return
        rows = self.contract.spec()
        for name in self.key_columns:
            if rows.column(name).kind != spec.column(name).kind:
                msg = f"{where}: the key {name!r} is {spec.column(name).kind}, and {rows.column(name).kind} in the rows."
                raise InvalidDeclaration(msg, field=name)
        check_apart(joined_columns(outcomes), rows, where=where)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the kinds of rows that a dataset reads."""

    #: `rows` or `outcomes`.
    name: str
    source: Source | OrderedSource
    contract: type[Contract] | None
    #: Columns that must have a value.
    needed: tuple[str, ...]
    #: Columns that do not count when a row is compared with the one that has its key.
    passed_over: tuple[str, ...] = ()
    #: The column that says which of two rows of a key is the later form; None: the first one stays.
    updated: str | None = None
    #: Rules that leave files out, as plain values: a file that was left out is read again when they change.
    skips: tuple[Mapping[str, Any], ...] = ()

    @property
    def listed(self) -> Source | None:
        """The source, where it offers files."""
        return cast("Source", self.source) if hasattr(self.source, "listing") else None

    @property
    def ordered(self) -> OrderedSource:
        """The source, which is read in order."""
        return cast("OrderedSource", self.source)

    def rules(self) -> Mapping[str, pl.Expr]:
        """Return the expression of each rule by its name."""
        return self.contract.rules() if self.contract else {}


def joined_columns(outcomes: Outcomes) -> tuple[str, ...]:
    """Return the columns that reading adds to the rows."""
    return tuple(dict.fromkeys([*outcomes.columns, *([outcomes.arrived] if outcomes.arrived else [])]))


def check_declared(names: Sequence[str], spec: ContractSpec, *, where: str) -> None:
    """Make sure that a contract has the columns that something needs.

    Raises:
        InvalidDeclaration: it lacks one.
    """
    for name in names:
        if name not in spec.names:
            msg = f"{where}: {name!r} is no column of {spec.name!r}. It has: {', '.join(spec.names)}."
            raise InvalidDeclaration(msg, field=name)


def check_apart(names: Sequence[str], rows: ContractSpec, *, where: str) -> None:
    """Make sure that the columns that reading joins to the rows are not there already.

    Raises:
        InvalidDeclaration: one is.
    """
    for name in names:
        if name in rows.names:
            msg = f"{where}: the rows have a column {name!r} too. Rename one of them."
            raise InvalidDeclaration(msg, field=name)


def check_stamps(spec: ContractSpec, *, updated: str | None, deleted: str | None, where: str) -> None:
    """Make sure that the columns that order and end the forms of a row can do so.

    Raises:
        InvalidDeclaration: one cannot.
    """
    for name, kinds, expected in (
        (updated, {"datetime", "date", "int"}, "a moment, a date or an integer that grows with each change"),
        (deleted, {"bool", "datetime"}, "true or false, or the moment at which the row was deleted"),
    ):
        if name and spec.column(name).kind not in kinds:
            msg = f"{where}: {name!r} is {spec.column(name).kind}; expected {expected}."
            raise InvalidDeclaration(msg, field=name)


def check_roles(
    spec: ContractSpec, *, keys: Sequence[str], moment: str | None, group: Sequence[str], where: str
) -> None:
    """Make sure that keys can be hashed, moments are moments, and no column has a reserved name.

    Raises:
        InvalidDeclaration: one is not.
    """
    for name in (*keys, *group):
        if spec.column(name).kind not in KEYS:
            msg = (
                f"{where}: {name!r} is {spec.column(name).annotation}, which cannot tell rows apart for ever. "
                "Expected text, integers, moments."
            )
            raise InvalidDeclaration(msg, field=name)
    if moment and spec.column(moment).kind != "datetime":
        msg = f"{where}: {moment!r} is {spec.column(moment).kind}; expected datetime."
        raise InvalidDeclaration(msg, field=moment)
    reserved = [name for name in spec.names if name.startswith("_")]
    if reserved:
        msg = f"{where}: the column {reserved[0]!r} starts with '_', as only Treadle's own do. Rename it."
        raise InvalidDeclaration(msg, field=reserved[0])
