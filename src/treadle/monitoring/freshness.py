"""How old data, model and last run are, and which of them is older than it may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from msgspec import field

from treadle.core.clock import parse_span, span_text
from treadle.core.records import Record


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How old things may be, as spans such as `2d`; None: as old as they like."""

    #: Age of the newest row, by its event time.
    data: str | None = None
    #: Age of the end of the champion's training window.
    model: str | None = None
    #: Time since the last run was started.
    run: str | None = None
    #: Time since an outcome became known last.
    outcomes: str | None = None

    def __post_init__(self) -> None:
        """Check what was given."""
        for span in (self.data, self.model, self.run, self.outcomes):
            if span is not None:
                parse_span(span)


class Freshness(Record, frozen=True, kw_only=True):
    """How old the parts of one model are at a moment; ages in seconds, None: there is none yet."""

    #: What it is about, as `model:delay`.
    subject: str
    at: datetime
    data_age: float | None
    model_age: float | None
    run_age: float | None
    outcomes_age: float | None = None
    #: What is older than its limit, or is not there although it has one (`data`, `model`, `run`, `outcomes`) → one sentence.
    stale: dict[str, str] = field(default_factory=dict)
    #: Things that are odd, such as rows from the future.
    notes: tuple[str, ...] = ()

    @property
    def is_stale(self) -> bool:
        """Whether anything is older than it may be."""
        return bool(self.stale)

    @property
    def text(self) -> str:
        """All reasons in one text; empty: everything is fresh."""
        return " ".join(self.stale.values())


def freshness(
    subject: str,
    *,
    now: datetime,
    newest: datetime | None,
    trained_until: datetime | None,
    last_run: datetime | None,
    outcome: datetime | None = None,
    limits: Limits | None = None,
) -> Freshness:
    """Compare ages with limits.

    `newest` is the event time of the newest row, `trained_until` the end of the champion's training window,
    `last_run` the moment at which the last run was started, and `outcome` that at which an outcome became known last.
    """
    given = limits or Limits()
    parts = (
        ("data", "The newest row", "There is no data yet", newest, given.data),
        ("model", "What the champion has learnt from", "No version answers yet", trained_until, given.model),
        ("run", "The last run", "There was no run yet", last_run, given.run),
        ("outcomes", "The newest outcome", "No outcome is known yet", outcome, given.outcomes),
    )
    ages: dict[str, float | None] = {}
    stale: dict[str, str] = {}
    notes = []
    for name, thing, nothing, moment, limit in parts:
        age = None if moment is None else now - moment
        ages[name] = None if age is None else age.total_seconds()
        if age is not None and age.total_seconds() < 0:
            notes.append(f"{thing} is {span_text(-age)} ahead of the clock.")
        if limit is None:
            continue
        if age is None:
            stale[name] = f"{nothing}; the limit is {limit}."
        elif age > parse_span(limit):
            stale[name] = f"{thing} is {span_text(age)} old; the limit is {limit}."
    return Freshness(
        subject=subject,
        at=now,
        data_age=ages["data"],
        model_age=ages["model"],
        run_age=ages["run"],
        outcomes_age=ages["outcomes"],
        stale=stale,
        notes=tuple(notes),
    )
