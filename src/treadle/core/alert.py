"""Alerts and what people do about them, as records."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from treadle.core.records import Record
from treadle.core.telling import Severity


class Concern(NamedTuple):
    """Something that a person should be told, found by looking at what is true now."""

    #: The rule that speaks, as `stale-data`.
    rule: str
    #: What it is about, as `model:delay`.
    subject: str
    text: str
    #: What tells this occurrence from the one before, as the id of a run; empty: it holds, or it does not.
    event: str = ""


class Acknowledgement(Record, frozen=True, kw_only=True):
    """Somebody has taken an alert on."""

    at: datetime
    actor: str
    reason: str


class Alert(Record, frozen=True, kw_only=True):
    """A message to a person."""

    id: str
    #: The rule that spoke, as `stale-data`.
    rule: str
    #: What it is about, as `model:delay`.
    subject: str
    text: str
    at: datetime
    #: How soon somebody must look: `page` (now), `ticket` (in working hours), `info`.
    severity: Severity = "ticket"
    #: Moment at which it no longer held.
    resolved_at: datetime | None = None
    #: Whether every channel that it goes to took its last change; None: it goes to none.
    delivered: bool | None = None
    #: When the first channel took it; None: nobody was told yet.
    told_at: datetime | None = None
    #: Who has taken it on; None: nobody yet.
    acknowledged: Acknowledgement | None = None


class Silence(Record, frozen=True, kw_only=True):
    """Alerts that nobody is told of until a moment; they are kept, and told afterwards if they still hold."""

    id: str
    #: Patterns of rules and subjects, as `stale-*` and `model:delay`.
    rule: str
    subject: str
    until: datetime
    at: datetime
    actor: str
    reason: str
