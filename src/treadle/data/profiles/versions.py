"""Profiles of stored versions: reads their rows, in any order and in bounded memory, and hands them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import polars as pl

from treadle.core.errors import InvalidInput, closest
from treadle.core.records import DatasetVersion
from treadle.data import reading
from treadle.data.profiles.profile import Earlier, profile
from treadle.data.profiles.records import Profile as Profile
from treadle.data.profiles.shifts import Distributions as Distributions
from treadle.data.profiles.shifts import distributions
from treadle.data.profiles.subject import Subject, subject_of
from treadle.data.profiles.tally import Rows
from treadle.store.tables.tables import Tables


def profiled(
    tables: Tables,
    readings: Sequence[Mapping[str, Any]],
    *,
    history: Sequence[DatasetVersion],
    outcome: str | None,
) -> Profile:
    """Return the profile of a version, and its comparison with an earlier one where two are given.

    `readings` are the arguments of `reading.scan` for each; `history` are the dataset's versions.

    Raises:
        InvalidInput: the second version is not earlier than the first, or there is no such outcome.
    """
    first, *others = readings
    current = _subject(first, history=history, outcome=outcome)
    with tables.reading(f"{current.dataset}/rows"):
        rows = _rows(tables, first)
        names = [name for name in rows.everything.collect_schema().names() if not name.startswith("_")]
        if outcome and outcome not in names:
            msg = f"Dataset {current.dataset!r} has no column {outcome!r}. {closest(outcome, names)}"
            raise InvalidInput(msg, field="outcome")
        against = None
        if others:
            earlier = _subject(others[0], history=history, outcome=outcome)
            _check_order(current, earlier)
            against = Earlier(_rows(tables, others[0]), earlier)
        return profile(rows, current, against=against)


def compared(
    tables: Tables,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    history: Sequence[DatasetVersion],
) -> Distributions:
    """Return how the distributions of a version's columns differ from those of an earlier one; see `profiled`.

    Raises:
        InvalidInput: the first version is not earlier than the second.
    """
    subject, earlier = (_subject(one, history=history, outcome=None) for one in (after, before))
    _check_order(subject, earlier)
    with tables.reading(f"{subject.dataset}/rows"):
        return distributions(_rows(tables, after), subject, against=Earlier(_rows(tables, before), earlier))


def _rows(tables: Tables, wanted: Mapping[str, Any]) -> Rows:
    """Return the rows in no order; outcomes that are kept apart are joined only where they are asked for."""

    def only(columns: Sequence[str]) -> pl.LazyFrame:
        selection = msgspec.structs.replace(wanted["selection"], columns=tuple(columns))
        return reading.unordered(tables, **{**wanted, "selection": selection})

    return Rows(reading.unordered(tables, **wanted), only)


def _subject(wanted: Mapping[str, Any], *, history: Sequence[DatasetVersion], outcome: str | None) -> Subject:
    version: DatasetVersion = wanted["version"]
    quarantined = sum(one.quarantined - one.readmitted for one in history if one.version <= version.version)
    return subject_of(version, pin=wanted["pin"], outcome=outcome, quarantined=max(0, quarantined))


def _check_order(current: Subject, earlier: Subject) -> None:
    if earlier.version >= current.version:
        msg = (
            f"Version {earlier.version} of {current.dataset!r} is not before version {current.version}. Compare a version "
            "with an earlier one."
        )
        raise InvalidInput(msg, field="against")
