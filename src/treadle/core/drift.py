"""What is known of a model's drift now: the record that monitoring hands to the corridor, where policies ask for it."""

from __future__ import annotations

from datetime import datetime

from treadle.core.records import Record


class Estimate(Record, frozen=True, kw_only=True):
    """How good a model is thought to be where outcomes are not known yet, beside how good it was on its test rows.

    All values are losses: the larger, the worse.
    """

    metric: str
    value: float
    low: float
    high: float
    #: The same of the version's own test rows.
    expected: float

    @property
    def is_worse(self) -> bool:
        """Whether the whole interval lies above what was expected."""
        return self.low > self.expected


class Moved(Record, frozen=True, kw_only=True):
    """A column that has drifted."""

    #: Empty: all columns together.
    column: str
    #: What saw it, as `range`.
    detector: str
    #: How much has changed, as a share of the rows.
    effect: float
    #: In words: what, on how many rows, since when.
    text: str


class Drift(Record, frozen=True, kw_only=True):
    """Whether the rows that a model is asked about differ from those that it has learnt from, and in what."""

    model: str
    #: The version whose reference the rows were compared with.
    version: int
    at: datetime
    drifting: bool
    #: One sentence: what moved, by how much, on how many rows; or that nothing did.
    reason: str
    rows: int = 0
    #: What has drifted, what matters most first.
    moved: tuple[Moved, ...] = ()
    #: None: nothing was estimated.
    estimate: Estimate | None = None
