"""What a profile holds: plain values that a page, a command or a program reads."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from treadle.core.records import Record
from treadle.data.types import Kind

#: What a column does in its dataset.
Role = Literal["key", "time", "outcome", "arrived"]
#: `alert`: look before anything else; `warning`: probably a mistake; `note`: good to know.
Level = Literal["alert", "warning", "note"]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a profile, which has no lineage of its own."""


class Histogram(Piece, frozen=True, kw_only=True):
    """Sampled rows by value, in bins of one width; the last bin holds its right edge too."""

    #: One more than there are bins; moments as seconds since 1970, days as days since then.
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    #: Rows below the first and above the last edge, where a few far values would flatten all others.
    below: int = 0
    above: int = 0


class Lengths(Piece, frozen=True, kw_only=True):
    """How long the texts of the sampled rows are, in characters."""

    min: int
    mean: float
    max: int
    histogram: Histogram | None = None


class ColumnProfile(Piece, frozen=True, kw_only=True):
    """One column in numbers."""

    name: str
    #: The type, as Polars names it.
    dtype: str
    kind: Kind | Literal["other"]
    roles: tuple[Role, ...] = ()
    #: Share of rows without a value, 0 to 1, and how many they are: of all rows.
    missing: float
    missing_rows: int
    #: Different values, not counting the missing one; about 1 % off unless `distinct_exact`.
    distinct: int
    distinct_exact: bool = True
    #: Least and greatest value of all rows: numbers as numbers, moments and days as ISO 8601 text, text by its code points.
    min: float | str | None = None
    max: float | str | None = None
    #: Mean and standard deviation of numbers in all rows; of booleans the mean is the share that is true.
    mean: float | None = None
    std: float | None = None
    #: Quantiles of numbers in the sampled rows, by their share as text (`0.5` is the median).
    quantiles: dict[str, float] = {}
    #: Third standardised moment, and the share that is exactly zero, of numbers in the sampled rows.
    skew: float | None = None
    zeros: float | None = None
    #: Distribution of numbers, moments and days in the sampled rows.
    histogram: Histogram | None = None
    #: The commonest values of text and booleans in the sampled rows with their counts, commonest first, ties by value.
    top: tuple[tuple[str, int], ...] = ()
    lengths: Lengths | None = None
    #: By stretch of `Coverage.trend_starts`, in the sampled rows: share without a value, and the mean of numbers, the
    #: share that is true, or the share of the commonest text. None: no row.
    missing_trend: tuple[float | None, ...] = ()
    trend: tuple[float | None, ...] = ()


class Gap(Piece, frozen=True, kw_only=True):
    """A stretch of time without any row, where rows would be expected: `start <= time < end`."""

    start: datetime
    end: datetime


class Coverage(Piece, frozen=True, kw_only=True):
    """When the rows are: counted in stretches of event time."""

    #: Length of a stretch, as Polars writes it (`1d`, `1w`), the starts of all stretches, and the rows in each: of all rows.
    every: str
    starts: tuple[datetime, ...]
    rows: tuple[int, ...]
    gaps: tuple[Gap, ...] = ()
    #: Rows with moments so far from all others that they are not shown.
    outside: int = 0
    #: Coarser stretches, for what changes in time within columns.
    trend_every: str
    trend_starts: tuple[datetime, ...]


class Skill(Piece, frozen=True, kw_only=True):
    """How well one column alone predicts the outcome, on rows that it was not fitted on."""

    column: str
    #: Share of the outcome's uncertainty that goes when the column is known: of the log loss for classes, of the variance
    #: of the ranks for numbers. 0: nothing, 1: all. Below 0 counts as 0.
    explained: float
    #: Area under the ROC curve for classes (for more than two, each against the rest, weighted); None for numbers.
    auc: float | None = None


class Suspect(Piece, frozen=True, kw_only=True):
    """A column that probably holds what is not known when a prediction is asked for."""

    column: str
    outcome: str
    #: `decides`, `stands-out`, `missing-together`, `missing-decides`; see the documentation for each rule.
    rule: Literal["decides", "stands-out", "missing-together", "missing-decides"]
    #: What was seen, in a sentence.
    text: str


class Leakage(Piece, frozen=True, kw_only=True):
    """What each column alone knows of an outcome."""

    outcome: str
    #: `classes` or `number`.
    kind: Literal["classes", "number"]
    #: Sampled rows with a known outcome that the skills were measured on.
    rows: int
    #: Best first.
    skills: tuple[Skill, ...] = ()
    #: Best evidence first; a column may be named by several rules.
    suspects: tuple[Suspect, ...] = ()
    #: Columns that are no suspects but lie after the row's time, each in a sentence: plans are fine, records are not.
    later: tuple[tuple[str, str], ...] = ()
    #: Why nothing was measured.
    skipped: str = ""

    @property
    def suspected(self) -> tuple[str, ...]:
        """The names of the suspects, each once, best evidence first."""
        return tuple(dict.fromkeys(suspect.column for suspect in self.suspects))


class Associations(Piece, frozen=True, kw_only=True):
    """How strongly columns go together in the sampled rows, each pair on the rows that have both values."""

    columns: tuple[str, ...]
    #: Whether a column is a number (booleans are); the others are categories.
    numeric: tuple[bool, ...]
    #: Square, by pair: Spearman's rank correlation (-1 to 1) of numbers, Cramér's V of categories, the correlation ratio
    #: of a number and a category (both 0 to 1, corrected for chance). None: too few rows or a constant.
    strength: tuple[tuple[float | None, ...], ...]
    #: The same with Pearson's correlation; None where a column is not a number.
    pearson: tuple[tuple[float | None, ...], ...]
    rows: int
    #: Columns that were left out, because the picture has room for so many.
    left_out: tuple[str, ...] = ()


class SplitShare(Piece, frozen=True, kw_only=True):
    """One part of the split."""

    name: str
    rows: int
    #: Share of rows that the split was declared with; None where it is not known.
    declared: float | None = None
    #: Mean of the outcome in the part where it is true or false or a number; None elsewhere.
    outcome: float | None = None
    #: Rows of the part whose outcome is known; None: there is no outcome.
    known: int | None = None


class Finding(Piece, frozen=True, kw_only=True):
    """Something about the data that a person should know, in words."""

    level: Level
    #: A short name of what was found, as `constant`.
    kind: str
    #: The column that it is about; None: the dataset.
    column: str | None = None
    text: str


class Change(Piece, frozen=True, kw_only=True):
    """How far a column's values in the rows that came after a version are from those in that version."""

    column: str
    #: Jensen–Shannon distance (base 2): 0 equal, 1 nothing in common. A missing value counts as one more value.
    distance: float
    #: What the distance stays below by chance alone, at 1 % over all columns together, if nothing changed.
    floor: float
    #: Population stability index over the same bins, for those who know its thresholds.
    psi: float
    #: `chance`: within the floor; `slight`: above it, yet under 0.1; `clear`: above both.
    verdict: Literal["chance", "slight", "clear"]
    missing_before: float
    missing_after: float
    #: Bins and the share of rows in each, before and after.
    labels: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    #: Commonest texts that the version did not have, with their share of the rows after it.
    new_values: tuple[tuple[str, float], ...] = ()


class Comparison(Piece, frozen=True, kw_only=True):
    """A version against an earlier one."""

    #: The earlier version, profiled in the same bins; without leakage, associations and findings.
    before: Profile
    #: Rows of the later version that came with a later commit than the earlier version.
    rows_after: int
    #: Sampled rows of the earlier version, and of those that came after it, that were compared.
    sampled_before: int
    sampled_after: int
    #: Largest distance first.
    changes: tuple[Change, ...] = ()
    #: Columns that only one of the two has.
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()


class Profile(Record, frozen=True, kw_only=True):
    """A dataset version in numbers."""

    dataset: str
    version: int
    #: When the version was committed; None for rows that are no version.
    created_at: datetime | None = None
    rows: int
    #: Rows behind everything that is not said to be of all rows.
    sampled: int
    columns: tuple[ColumnProfile, ...]
    #: Rows in each part of the split.
    splits: dict[str, int] = msgspec.field(default_factory=dict)
    split_shares: tuple[SplitShare, ...] = ()
    time: str | None = None
    time_min: datetime | None = None
    time_max: datetime | None = None
    #: Rows of all commits up to the version that went to quarantine and were not readmitted.
    quarantined: int = 0
    #: Sampled rows that repeat another in everything but the key; None: not looked for.
    duplicates: int | None = None
    coverage: Coverage | None = None
    leakage: tuple[Leakage, ...] = ()
    associations: Associations | None = None
    #: Gravest first.
    findings: tuple[Finding, ...] = ()
    comparison: Comparison | None = None

    def column(self, name: str) -> ColumnProfile:
        """Return one column's profile; it must exist."""
        return next(column for column in self.columns if column.name == name)

    @property
    def exact(self) -> bool:
        """Whether the sampled rows are all rows."""
        return self.sampled == self.rows
