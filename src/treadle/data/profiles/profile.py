"""The profile of a dataset version: one pass over all rows, and a close look at a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import polars as pl

from treadle.data.profiles.associations import associations
from treadle.data.profiles.changes import changes
from treadle.data.profiles.columns import column_profile
from treadle.data.profiles.coverage import coverage
from treadle.data.profiles.findings import findings
from treadle.data.profiles.leakage import leakage
from treadle.data.profiles.records import ColumnProfile, Comparison, Profile, SplitShare
from treadle.data.profiles.sample import marked, sample_size, sampled
from treadle.data.profiles.subject import Subject
from treadle.data.profiles.tally import Rows, Tally, tally
from treadle.data.profiles.trend import with_trends

_BUCKETS = 10_000


@dataclass(frozen=True)
class Earlier:
    """An earlier version to compare with: its rows, and what is known of them."""

    rows: Rows
    subject: Subject


def profile(
    rows: Rows | pl.DataFrame | pl.LazyFrame,
    subject: Subject | None = None,
    *,
    against: Earlier | None = None,
) -> Profile:
    """Describe rows in any order; columns that start with `_` are Treadle's own and are passed over.

    Counts, bounds, means and time coverage are of all rows, which are never held in memory together; all else is of a
    sample, which holds all rows where these are not more than a million (fewer where there are many columns).

    >>> profile(pl.DataFrame({"a": [1, 2, None]})).column("a").mean
    1.5
    """
    subject = subject or Subject()
    rows = rows if isinstance(rows, Rows) else Rows.of(rows)
    found = tally(rows, subject)
    described = described_by(found, subject)
    described = msgspec.structs.replace(
        described,
        duplicates=_duplicates(found, subject),
        leakage=tuple(
            leakage(found.sample, subject, outcome=outcome)
            for outcome in subject.outcomes
            if outcome in found.schema
        ),
        associations=associations(found.sample, described.columns),
    )
    if against is not None:
        comparison = _comparison(described, rows, found, against)
        described = msgspec.structs.replace(described, comparison=comparison)
    return msgspec.structs.replace(described, findings=findings(described, found.sample))


def described_by(found: Tally, subject: Subject, *, like: Profile | None = None) -> Profile:
    """Return the profile of what the pass found, in the bins of another where there is one."""
    bins = {column.name: column for column in like.columns} if like else {}
    columns: tuple[ColumnProfile, ...] = tuple(
        column_profile(name, found, subject, like=bins.get(name)) for name in found.schema
    )
    covered = coverage(found.moments, grain=found.grain) if found.moments is not None else None
    if covered is not None and subject.time is not None:
        # Two profiles are laid over each other: the trends of both are taken by the stretches of the later one.
        stretches = like.coverage if like and like.coverage else covered
        columns = with_trends(columns, found.sample, time=subject.time, coverage=stretches)
    shares = _shares(found, subject)
    return Profile(
        parents=subject.parents,
        dataset=subject.dataset,
        version=subject.version,
        created_at=subject.created_at,
        rows=found.rows,
        sampled=found.sample.height,
        columns=columns,
        splits={part.name: part.rows for part in shares},
        split_shares=shares,
        time=subject.time,
        time_min=found.time_min,
        time_max=found.time_max,
        quarantined=subject.quarantined,
        coverage=covered,
    )


def _shares(found: Tally, subject: Subject) -> tuple[SplitShare, ...]:
    declared: dict[str, float] = {}
    # A split by time has no shares that it was declared with.
    if subject.split is not None and subject.split.test_from is None:
        first, second = subject.split.train_below, subject.split.validation_below
        sizes = {"train": first, "validation": second - first, "test": _BUCKETS - second}
        declared = {name: size / _BUCKETS for name, size in sizes.items()}
    return tuple(
        SplitShare(name=name, rows=rows, declared=declared.get(name), known=known, outcome=outcome)
        for name, rows, known, outcome in found.splits.rows()
    )


def _duplicates(found: Tally, subject: Subject) -> int | None:
    """Return how many sampled rows repeat another in everything but the key; None where nothing but a key is left."""
    values = [
        name for name, dtype in found.schema.items() if name not in subject.key and not dtype.is_nested()
    ]
    if not subject.key or len(values) < 2:
        return None
    return found.sample.height - found.sample.select(values).hash_rows().n_unique()


def came_since(version: int, rows: Rows, names: Sequence[str]) -> tuple[int, pl.DataFrame]:
    """Return how many of a later version's rows came after a version, and a sample of them."""
    later = rows.everything.filter(pl.col("_version") > version)
    total = int(later.select(pl.len()).collect(engine="streaming").item())
    drawn = sampled(marked(later), total=total, size=sample_size(len(names)))
    return total, drawn.select(names).collect(engine="streaming")


def _comparison(current: Profile, rows: Rows, found: Tally, against: Earlier) -> Comparison:
    """Compare with an earlier version: its profile in the same bins, and how what came after it differs."""
    earlier = tally(against.rows, against.subject)
    total, after = came_since(against.subject.version, rows, list(found.schema))
    return Comparison(
        before=described_by(earlier, against.subject, like=current),
        rows_after=total,
        sampled_before=earlier.sample.height,
        sampled_after=after.height,
        changes=changes(earlier.sample, after, current.columns),
        columns_added=tuple(name for name in found.schema if name not in earlier.schema),
        columns_removed=tuple(name for name in earlier.schema if name not in found.schema),
    )
