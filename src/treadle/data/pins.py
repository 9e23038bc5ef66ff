"""What is pinned at a dataset's first commit, and what a changed declaration may still change."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from treadle.core.errors import ContractChanged, SplitChanged
from treadle.core.records import Record, SplitSpec
from treadle.data.changes import Changes, compare
from treadle.data.contracts import ContractSpec
from treadle.data.declarations import Dataset
from treadle.data.summaries import Summary


class Pin(Record, frozen=True, kw_only=True):
    """The nature of a dataset, as stored with it."""

    name: str
    key: tuple[str, ...]
    time: str | None = None
    #: The outcome's column in the row.
    outcome: str | None = None
    #: The outcome's columns, kept apart.
    outcome_columns: tuple[str, ...] = ()
    arrived: str | None = None
    #: The column that marks a row as deleted.
    deleted: str | None = None
    split: SplitSpec | None = None
    #: By part: the contract that all stored rows meet. A part of which nothing came and nothing is declared has none.
    contracts: dict[str, ContractSpec] = msgspec.field(default_factory=dict)
    #: By table: its version when its small files were last joined.
    compacted: dict[str, int] = msgspec.field(default_factory=dict)
    #: By table: its columns, in order.
    columns: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    #: Ranges of versions, first and last, that were collected: they can no longer be read as they were.
    collected: tuple[tuple[int, int], ...] = ()
    #: The newest version that was made by forgetting; 0: none. No earlier state of the tables may stay on disk.
    forgotten: int = 0
    #: How the columns are distributed that a dataset rule compares with the last version.
    summary: Summary = Summary()


def declared(
    dataset: Dataset,
    *,
    contracts: Mapping[str, ContractSpec],
    compacted: Mapping[str, int],
    columns: Mapping[str, tuple[str, ...]],
    collected: tuple[tuple[int, int], ...] = (),
    forgotten: int = 0,
    summary: Summary = Summary(),  # noqa: B008 - a frozen record
) -> Pin:
    """Return what a declaration pins, with the contracts of its parts."""
    outcomes = dataset.outcomes
    return Pin(
        name=dataset.name,
        key=dataset.key_columns,
        time=dataset.time,
        outcome=dataset.outcome,
        outcome_columns=tuple(outcomes.columns) if outcomes else (),
        arrived=outcomes.arrived if outcomes else None,
        deleted=dataset.deleted,
        split=dataset.split_spec,
        contracts=dict(contracts),
        compacted=dict(compacted),
        columns=dict(columns),
        collected=collected,
        forgotten=forgotten,
        summary=summary,
    )


def check_nature(dataset: Dataset, pin: Pin) -> None:
    """Make sure that key, time and split are still those of the stored rows.

    Raises:
        ContractChanged: the key or the time is another one.
        SplitChanged: rows would move between train, validation and test.
    """
    for what, was, now in (("key", pin.key, dataset.key_columns), ("time", pin.time, dataset.time)):
        if was != now:
            msg = (
                f"Dataset {pin.name!r}: the {what} was {_shown(was)} and is now {_shown(now)}. What tells stored rows apart "
                "cannot change: declare it as before, or give the dataset another name."
            )
            raise ContractChanged(msg)
    if pin.deleted and pin.deleted != dataset.deleted:
        msg = (
            f"Dataset {pin.name!r}: deleted= was {pin.deleted!r} and is now {_shown(dataset.deleted)}. Rows that it marks as "
            "gone would come back: declare it as before."
        )
        raise ContractChanged(msg)
    if pin.split != dataset.split_spec:
        msg = (
            f"Dataset {pin.name!r}: {'; '.join(_split_differences(pin.split, dataset.split_spec))}. Rows would move between "
            "train, validation and test: declare the split as before, or give the dataset another name."
        )
        raise SplitChanged(msg)


def check_contract(dataset: Dataset, part: str, pin: Pin) -> Changes | None:
    """Return the differences of a part's contract, or None where there are none.

    Raises:
        ContractChanged: stored rows cannot meet the declared contract.
    """
    declared_part, stored = dataset.parts().get(part), pin.contracts.get(part)
    if declared_part is None or stored is None:
        return None
    if declared_part.contract is None:
        if stored.inferred:
            return None
        msg = (
            f"Dataset {pin.name!r}, {part}: the contract {stored.name!r}, which stored rows meet, is no longer declared. "
            "Declare it as before."
        )
        raise ContractChanged(msg)
    new = declared_part.contract.spec()
    if new.digest == stored.digest:
        return None
    changes = compare(stored, new)
    if changes.breaking:
        raise broken(pin.name, part, changes.breaking)
    return changes


def broken(name: str, part: str, differences: tuple[str, ...]) -> ContractChanged:
    """Build the error for a contract that stored rows do not meet."""
    listed = "".join(f"\n  - {difference}" for difference in differences)
    msg = (
        f"Dataset {name!r}, {part}: the declared contract no longer describes the stored rows:{listed}\n"
        "Declare it as before, widen it, or give the dataset another name."
    )
    return ContractChanged(msg)


def _split_differences(was: SplitSpec | None, now: SplitSpec | None) -> list[str]:
    if was is None or now is None:
        return [
            f"the split was {'not declared' if was is None else 'declared'} and is now {'declared' if was is None else 'not'}"
        ]
    found = []
    for what, before, after in (
        ("scheme", was.scheme, now.scheme),
        ("salt", was.salt, now.salt),
        ("deciding columns", was.columns, now.columns),
        ("shares", _shares(was), _shares(now)),
        ("moments", _moments(was), _moments(now)),
    ):
        if before != after:
            found.append(f"the split's {what} was {_shown(before)} and is now {_shown(after)}")
    return found


def _shares(spec: SplitSpec) -> str:
    parts = (spec.train_below, spec.validation_below - spec.train_below, 10_000 - spec.validation_below)
    return "train={:g}, validation={:g}, test={:g}".format(*(part / 10_000 for part in parts))


def _moments(spec: SplitSpec) -> str | None:
    if spec.validation_from is None or spec.test_from is None:
        return None
    parts = (f"validation={spec.validation_from:%Y-%m-%dT%H:%MZ}", f"test={spec.test_from:%Y-%m-%dT%H:%MZ}")
    return ", ".join((*parts, f"embargo={spec.embargo:g} s"))


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(repr, value))
    return repr(value) if value is not None else "not set"
