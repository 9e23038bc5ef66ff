"""Dataset rules: what the new rows of a dataset must be as a whole, and what is known when that is judged.

    td.Dataset("flights", ..., rules=[td.rules.Rows(at_least=1), td.rules.Refers("origin", to="airports.code")])

Each rule is one file of `rules/`. A rule that stops lets nothing of an ingestion in; one that skips leaves out the files that
break it, each judged by itself; one that warns is told, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, get_args

import polars as pl

from treadle.core.errors import InvalidDeclaration, NotFound, RuleBroken, closest
from treadle.core.records import Record
from treadle.data.contracts import ContractSpec
from treadle.data.summaries import Summary

#: What a broken rule does: nothing is taken in, the files that break it are left out, or it is only told.
Severity = Literal["stop", "skip", "warn"]
Lookup = Callable[[str, str], pl.Series]
Stored = Callable[[Sequence[str]], pl.LazyFrame]


def no_lookup(dataset: str, column: str) -> pl.Series:
    """Stand for a place without other datasets.

    Raises:
        NotFound: always.
    """
    msg = f"Nobody can look up {dataset}.{column} here."
    raise NotFound(msg)


def nothing_stored(columns: Sequence[str]) -> pl.LazyFrame:
    """Stand for a dataset that has no row yet."""
    return pl.LazyFrame(schema=dict.fromkeys(columns, pl.Null))


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known beside the new rows."""

    now: datetime
    #: The column of the event time, and the latest one stored.
    time: str | None = None
    newest: datetime | None = None
    #: The distributions of the last version; None: there is none.
    previous: Summary | None = None
    #: The values of a column of a dataset, as `lookup("airports", "code")`; they may repeat.
    lookup: Lookup = no_lookup
    #: Columns of the stored rows that stay.
    stored: Stored = nothing_stored


class Rule(Protocol):
    """Something that the new rows of a dataset must be as a whole."""

    @property
    def name(self) -> str:
        """The plug-in's name."""
        ...

    @property
    def severity(self) -> Severity:
        """What happens where it is broken."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it reads."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values: equal rules have equal ones."""
        ...

    def check(self, new: pl.DataFrame, facts: Facts) -> str | None:
        """Say what is wrong with the new rows, with the number and what was expected; None: nothing is."""
        ...


@dataclass(frozen=True, kw_only=True)
class Example:
    """A rule with new rows that keep it and new rows that break it, to be shown and tried."""

    rule: Rule
    good: pl.DataFrame
    bad: pl.DataFrame
    facts: Facts


class BrokenRule(Record, frozen=True, kw_only=True):
    """A rule that new rows do not keep."""

    #: The plug-in's name, what it does, the columns that it reads.
    rule: str
    severity: Severity
    columns: tuple[str, ...]
    #: What is wrong, in words.
    text: str


def judge(rules: Iterable[Rule], new: pl.DataFrame, facts: Facts) -> tuple[BrokenRule, ...]:
    """Return the rules that new rows break, those that stop first; every rule is asked."""
    found = [
        BrokenRule(rule=rule.name, severity=rule.severity, columns=rule.columns, text=text)
        for rule in rules
        if (text := rule.check(new, facts)) is not None
    ]
    return tuple(sorted(found, key=lambda one: one.severity == "warn"))


def refused(dataset: str, broken: Iterable[BrokenRule]) -> RuleBroken | None:
    """Return the error for the rules that stop, or None where none of the broken ones does; rows without files cannot be skipped."""
    stops = [one.text for one in broken if one.severity != "warn"]
    if not stops:
        return None
    listed = "".join(f"\n  - {text}" for text in stops)
    msg = (
        f"Dataset {dataset!r}: the new rows as a whole break its rules, and nothing was taken in:{listed}\n"
        "Mend what lands, change the rule, or let it warn only: severity='warn'."
    )
    return RuleBroken(msg)


def remembered(rules: Iterable[Rule]) -> tuple[str, ...]:
    """Return the columns whose distribution must be kept from version to version."""
    return tuple(dict.fromkeys(name for rule in rules for name in getattr(rule, "remembers", ())))


def check_rules(rules: Iterable[Rule], spec: ContractSpec, *, time: str | None, where: str) -> None:
    """Make sure that a contract has the columns that rules read, of types that they can read.

    Raises:
        InvalidDeclaration: it has not.
    """
    for rule in rules:
        if not hasattr(rule, "check") or not hasattr(rule, "columns"):
            msg = f"{where}: {rule!r} is no rule. Expected for example td.rules.Rows(at_least=1)."
            raise InvalidDeclaration(msg, field="rules")
        for name in rule.columns:
            if name not in spec.names:
                msg = f"{where}, rule {rule.name!r}: {name!r} is no column of {spec.name!r}. {closest(name, spec.names)}"
                raise InvalidDeclaration(msg, field=name)
            kinds = getattr(rule, "kinds", None)
            if kinds is not None and spec.column(name).kind not in kinds:
                msg = f"{where}, rule {rule.name!r}: {name!r} is {spec.column(name).annotation}. Expected {' or '.join(sorted(kinds))}."
                raise InvalidDeclaration(msg, field=name)
        if getattr(rule, "needs_time", False) and time is None:
            msg = f"{where}, rule {rule.name!r} needs the rows' time. Declare the dataset's time=, or name the rule's column=."
            raise InvalidDeclaration(msg, field="rules")


def check_arguments(rule: Rule, **arguments: tuple[object, bool, str]) -> None:
    """Check what a rule declares: for each argument its value, whether it holds, and what was expected.

    Raises:
        InvalidDeclaration: one does not hold; the message names it.
    """
    severities = get_args(Severity)
    severity = (rule.severity, rule.severity in severities, " or ".join(map(repr, severities)))
    for name, (value, holds, expected) in {**arguments, "severity": severity}.items():
        if not holds:
            msg = f"{type(rule).__name__}({name}={value!r}): expected {expected}."
            raise InvalidDeclaration(msg, field=name)


def is_share(value: object) -> bool:
    """Say whether a value is a share, 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def is_name(value: object) -> bool:
    """Say whether a value can be the name of a column."""
    return isinstance(value, str) and bool(value)
