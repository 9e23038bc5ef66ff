"""What a changed contract means for the rows that are there: readable differences, and which of them break rows."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from treadle.data.columns import ColumnSpec, python_value
from treadle.data.contracts import ContractSpec

_LIMITS = ("ge", "gt", "le", "lt", "allowed", "pattern", "min_length", "max_length", "length")
#: Limits that exclude more when they grow, and those that exclude more when they shrink.
_FLOORS, _CEILINGS = frozenset({"ge", "gt", "min_length"}), frozenset({"le", "lt", "max_length"})


@dataclass(frozen=True)
class Changes:
    """The differences between the contract of the stored rows and the declared one, each as a sentence."""

    #: Differences that no stored row can live with.
    breaking: tuple[str, ...] = ()
    #: Differences that stored rows may or may not live with: they have to be looked at.
    narrowing: tuple[str, ...] = ()
    #: Differences that cannot harm a stored row.
    harmless: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every difference."""
        return (*self.breaking, *self.narrowing, *self.harmless)


def compare(old: ContractSpec, new: ContractSpec) -> Changes:
    """Return what changed from the stored contract to the declared one."""
    breaking: list[str] = []
    narrowing: list[str] = []
    harmless: list[str] = []
    for column in old.columns:
        if column.name not in new.names:
            breaking.append(
                f"column {column.name!r} ({column.annotation}) is gone; keep it declared, with `| None` if it no longer comes"
            )
            continue
        after = new.column(column.name)
        if after.kind != column.kind:
            breaking.append(f"column {column.name!r} was {column.annotation} and is now {after.annotation}")
            continue
        for words, narrows in _differences(column, after):
            (narrowing if narrows else harmless).append(f"column {column.name!r}: {words}")
    for column in new.columns:
        if column.name not in old.names:
            words = f"column {column.name!r} ({column.annotation}) is new"
            if column.nullable:
                harmless.append(words)
            else:
                breaking.append(f"{words} and stored rows have no value for it; declare it with `| None`")
    rules = {rule.name: rule for rule in old.rules}
    narrowing += [
        f"rule {rule.name!r} ({rule.text}) is {'changed' if rule.name in rules else 'new'}"
        for rule in new.rules
        if rule.name not in rules or rules[rule.name].digest != rule.digest
    ]
    harmless += [f"rule {name!r} is gone" for name in rules if name not in {rule.name for rule in new.rules}]
    return Changes(tuple(breaking), tuple(narrowing), tuple(harmless))


def added(old: tuple[tuple[str, str], ...], new: ContractSpec) -> dict[str, pl.DataType]:
    """Return the columns that a stored schema does not have yet."""
    there = {name for name, _ in old}
    return {name: dtype for name, dtype in new.dtypes.items() if name not in there}


def _differences(old: ColumnSpec, new: ColumnSpec) -> list[tuple[str, bool]]:
    """Return the differences of one column's limits, each with whether it may exclude stored rows."""
    found = []
    if old.nullable != new.nullable:
        found.append((f"was {old.annotation} and is now {new.annotation}", old.nullable))
    for limit in _LIMITS:
        before, after = getattr(old, limit), getattr(new, limit)
        if before != after:
            words = f"{limit} was {_shown(before)} and is now {_shown(after)}"
            found.append((words, _narrows(limit, old, new)))
    return found


def _narrows(limit: str, old: ColumnSpec, new: ColumnSpec) -> bool:
    """Say whether a changed limit may exclude a value that was legal."""
    before, after = getattr(old, limit), getattr(new, limit)
    if after is None or before is None:
        return after is not None
    if limit == "allowed":
        return not set(before) <= set(after)
    if limit not in _FLOORS | _CEILINGS:
        return True
    textual = limit in {"min_length", "max_length"}
    was, now = (bound if textual else python_value(bound, new.kind) for bound in (before, after))
    return bool(now > was if limit in _FLOORS else now < was)


def _shown(limit: object) -> str:
    return "not set" if limit is None else repr(list(limit) if isinstance(limit, tuple) else limit)
