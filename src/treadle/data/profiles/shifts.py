"""Shifts: how far the distribution of each column moved from one version to a later one, as effect sizes and counts.

Two things are compared with the earlier version: the rows that came since, as a little that is new does not show among all
that was there; and the later version as a whole, as what was deleted, corrected or brought back shows there alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from treadle.core.records import Record
from treadle.data.profiles.changes import changes
from treadle.data.profiles.profile import Earlier, came_since, described_by
from treadle.data.profiles.records import Change, ColumnProfile, Piece
from treadle.data.profiles.subject import Subject
from treadle.data.profiles.tally import Rows, tally


class Bin(Piece, frozen=True, kw_only=True):
    """Rows of one value, or of one stretch of values, in two samples."""

    label: str
    rows_before: int
    rows: int
    #: The same as shares of all rows of their sample, 0 to 1.
    share_before: float
    share: float


class Distance(Piece, frozen=True, kw_only=True):
    """How far some rows of a column are from those of the earlier version."""

    #: Jensen–Shannon distance (base 2): 0 equal, 1 nothing in common. A missing value counts as one more value.
    distance: float
    #: What it stays below by chance alone, where rows do not come in clumps.
    floor: float
    #: Mean of numbers, and the share of booleans that is true.
    mean: float | None = None
    #: How far that is from the earlier mean, in earlier standard deviations.
    effect: float | None = None
    #: Every value or stretch of values, that of which the share moved most first.
    bins: tuple[Bin, ...] = ()
    #: Commonest texts that the earlier version did not have, with their share.
    new_values: tuple[tuple[str, float], ...] = ()

    @property
    def is_moved(self) -> bool:
        """Whether it is more than chance explains."""
        return self.distance > self.floor


class Shift(Piece, frozen=True, kw_only=True):
    """What happened to one column."""

    column: str
    mean_before: float | None = None
    #: The rows that came since, and the later version as a whole; None: fewer than fifty rows.
    came: Distance | None = None
    whole: Distance | None = None

    @property
    def is_moved(self) -> bool:
        """Whether one of the two is more than chance explains."""
        return any(one is not None and one.is_moved for one in (self.came, self.whole))

    @property
    def distance(self) -> float:
        """The larger of the two."""
        return max(one.distance for one in (self.came, self.whole) if one is not None)


class Distributions(Record, frozen=True, kw_only=True):
    """How the distributions of two versions' columns differ."""

    dataset: str
    before: int
    after: int
    rows_before: int
    rows_after: int
    #: Rows of the later version that came since the earlier one: new ones, and new forms of old ones.
    rows_came: int
    #: Rows that were compared: of the earlier version, of those that came, of the later version.
    sampled: tuple[int, int, int]
    #: Largest distance first; keys and moments are not compared, nor are columns that only one version has.
    shifts: tuple[Shift, ...] = ()

    @property
    def moved(self) -> tuple[Shift, ...]:
        """The columns that moved by more than chance explains."""
        return tuple(shift for shift in self.shifts if shift.is_moved)


def distributions(rows: Rows, subject: Subject, *, against: Earlier) -> Distributions:
    """Compare a version's rows with those of an earlier one; see `profile` for what is sampled."""
    later, earlier = tally(rows, subject), tally(against.rows, against.subject)
    columns = described_by(later, subject).columns
    before = {column.name: column for column in described_by(earlier, against.subject).columns}
    total, came = came_since(against.subject.version, rows, list(later.schema))
    samples = (earlier.sample.height, came.height, later.sample.height)
    found: dict[str, dict[str, Distance]] = {}
    for part, sample in (("came", came), ("whole", later.sample)):
        for change in changes(earlier.sample, sample, columns):
            pair = (earlier.sample[change.column], sample[change.column])
            found.setdefault(change.column, {})[part] = _distance(change, before[change.column], pair)
    shifts = [Shift(column=name, mean_before=before[name].mean, **parts) for name, parts in found.items()]
    return Distributions(
        parents=(*against.subject.parents, *subject.parents),
        dataset=subject.dataset,
        before=against.subject.version,
        after=subject.version,
        rows_before=earlier.rows,
        rows_after=later.rows,
        rows_came=total,
        sampled=samples,
        shifts=tuple(sorted(shifts, key=lambda shift: (-shift.distance, shift.column))),
    )


def _distance(change: Change, before: ColumnProfile, pair: tuple[pl.Series, pl.Series]) -> Distance:
    mean, effect = _mean(pair[1].mean()), None
    # An outcome that is not known yet is not compared.
    rows = [len(cells.drop_nulls() if "outcome" in before.roles else cells) for cells in pair]
    if mean is not None and before.mean is not None and before.std:
        effect = (mean - before.mean) / before.std
    return Distance(
        distance=change.distance,
        floor=change.floor,
        mean=mean,
        effect=effect,
        bins=tuple(
            sorted(_bins(change, rows), key=lambda one: (-abs(one.share - one.share_before), one.label))
        ),
        new_values=change.new_values,
    )


def _bins(change: Change, rows: Sequence[int]) -> Iterator[Bin]:
    for label, before, after in zip(change.labels, change.before, change.after, strict=True):
        if before or after:
            yield Bin(
                label=label,
                rows_before=round(before * rows[0]),
                rows=round(after * rows[1]),
                share_before=before,
                share=after,
            )


def _mean(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
