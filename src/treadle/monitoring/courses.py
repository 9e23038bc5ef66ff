"""Since when promises on time are kept or broken: written when that changes, and measured in between."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, select

from treadle.core.records import Record, from_json, to_json
from treadle.monitoring.burning import Measured
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: Changes that are kept of one promise; one that changes more often than this in its period is measured from the oldest kept.
_MOST = 2000


class Change(msgspec.Struct, frozen=True, array_like=True):
    """From a moment on, a promise was kept, or broken."""

    at: datetime
    kept: bool


class Course(Record, frozen=True, kw_only=True):
    """How a promise on time went."""

    #: Oldest first; from the first one on it is measured.
    changes: tuple[Change, ...] = ()
    #: When it was last looked at, where looks are rare; and what they found, as metric and its interval.
    looked_at: datetime | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0

    @property
    def is_kept(self) -> bool | None:
        """Whether it is kept; None: nobody has looked yet."""
        return self.changes[-1].kept if self.changes else None

    def turned(self, *, kept: bool, since: datetime, now: datetime, period: timedelta) -> Course:
        """Return what is known after a look; the same where nothing has changed.

        `since` is when what was found began, as far as is known; it is never before the last change.
        """
        if self.is_kept is kept:
            return self
        floor = self.changes[-1].at if self.changes else min(since, now)
        changes = [*self.changes, Change(min(max(since, floor), now), kept)]
        # What ended before the period is not measured any more.
        while len(changes) > 1 and (changes[1].at < now - period or len(changes) > _MOST):
            changes.pop(0)
        return msgspec.structs.replace(self, changes=tuple(changes))

    def measured(self, window: timedelta, now: datetime) -> Measured:
        """Return the seconds in which it was kept, and those that are known, in a window that ends now."""
        start, good, whole = now - window, 0.0, 0.0
        ends = [*(change.at for change in self.changes[1:]), now]
        for change, end in zip(self.changes, ends, strict=False):  # of none there is no end either
            seconds = (min(end, now) - max(change.at, start)).total_seconds()
            if seconds > 0:
                whole += seconds
                good += seconds if change.kept else 0.0
        return Measured(good, whole)


def read(ledger: Ledger) -> dict[str, Course]:
    """Return the courses of all promises, by name."""
    with ledger.read() as connection:
        return _read(connection)


def write(ledger: Ledger, changed: dict[str, Course]) -> None:
    """Keep what has changed; where nothing has, nothing is written."""
    if changed:
        with ledger.write() as connection:
            t.put_all(
                connection,
                t.slo_courses,
                [{"slo": name, "body": to_json(course)} for name, course in changed.items()],
            )


def _read(connection: Connection) -> dict[str, Course]:
    rows = connection.execute(select(t.slo_courses)).all()
    return {row.slo: from_json(row.body, Course) for row in rows}
