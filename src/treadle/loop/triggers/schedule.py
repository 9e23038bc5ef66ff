"""Fires by the calendar: at the moments that a cron expression names, on the clocks of a place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from treadle.core.errors import InvalidDeclaration
from treadle.loop.facts import Facts, Finding

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Schedule:
    """Fire once for each moment of a cron expression (minute, hour, day of the month, month, day of the week).

    `Schedule("30 2 * * 1", zone="Europe/Berlin")` fires on Mondays at half past two by the clocks of Berlin. Where these skip that
    moment in spring, it is the first one after the gap; where they have it twice in autumn, it is the first of the two. Moments
    that were slept through are made up for once, not once for each one missed, and the reason says how many there were.

    What was done is read from the last run and not from a memory of ticks: a clock that steps back fires no moment
    twice, and one that steps ahead skips none.

    >>> Schedule("0 6 * * *", zone="Europe/Berlin").before(datetime(2025, 7, 1, 12, tzinfo=UTC)).isoformat()
    '2025-07-01T04:00:00+00:00'
    """

    cron: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        """Check the expression and the zone."""
        try:
            zone = ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            msg = (
                f"Schedule(zone={self.zone!r}): no such time zone. Expected a name as 'Europe/Berlin'; where none is known, "
                "install the machine's tzdata, or `pip install tzdata`."
            )
            raise InvalidDeclaration(msg, field="zone") from error
        if len(self.cron.split()) != 5:
            msg = f"Schedule({self.cron!r}): expected five fields (minute hour day month weekday), as '30 2 * * 1'."
            raise InvalidDeclaration(msg, field="cron")
        try:
            next(CronSim(self.cron, datetime(2001, 1, 1, tzinfo=zone)))
        except CronSimError as error:
            msg = (
                f"Schedule({self.cron!r}): {error}. Expected minute hour day month weekday, as '30 2 * * 1'."
            )
            raise InvalidDeclaration(msg, field="cron") from error
        except StopIteration:
            msg = f"Schedule({self.cron!r}): there is no such day, so it would never fire."
            raise InvalidDeclaration(msg, field="cron") from None

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {"trigger": "schedule", "cron": self.cron, "zone": self.zone}

    def before(self, moment: datetime) -> datetime:
        """Return the newest scheduled moment that is not after another one, in UTC."""
        return _before(self.cron, self.zone, moment.astimezone(UTC).replace(second=0, microsecond=0))

    def after(self, moment: datetime) -> datetime:
        """Return the first scheduled moment after another one, in UTC."""
        return _after(self.cron, self.zone, moment.astimezone(UTC))

    def check(self, facts: Facts) -> Finding:
        """Say whether it fires on these facts."""
        begun = self.before(facts.now)
        coming = self.after(facts.now)
        last = facts.last_run
        # A run further ahead than the next moment but one was made before the clock went back: when, nobody knows.
        if last is not None and begun <= last < self.after(coming):
            return Finding(
                fires=False, reason=f"next scheduled for {self._told(self.after(max(last, facts.now)))}"
            )
        missed = 0 if last is None or last > begun else self._between(last, begun)
        slept = f", and {missed} before it that nobody was there for" if missed else ""
        return Finding(fires=True, reason=f"scheduled for {self._told(begun)}{slept}")

    def when(self, facts: Facts) -> datetime | None:
        """Return when it will fire next."""
        return self.after(max(facts.last_run, facts.now) if facts.last_run else facts.now)

    def _between(self, last: datetime, begun: datetime) -> int:
        """Return how many moments lie after the last run and before another one, 1,000 at most."""
        count, each = 0, self.after(last)
        while each < begun and count < 1000:
            count, each = count + 1, self.after(each)
        return count

    def _told(self, moment: datetime) -> str:
        utc = f"{moment:%Y-%m-%d %H:%M} UTC"
        if self.zone == "UTC":
            return utc
        return f"{moment.astimezone(ZoneInfo(self.zone)):%Y-%m-%d %H:%M} {self.zone} ({utc})"


@lru_cache(maxsize=1024)
def _after(cron: str, zone: str, moment: datetime) -> datetime:
    return next(CronSim(cron, moment.astimezone(ZoneInfo(zone)))).astimezone(UTC)


@lru_cache(maxsize=1024)
def _before(cron: str, zone: str, minute: datetime) -> datetime:
    """Return the newest moment up to the beginning of a minute: expressions know no seconds."""
    place = ZoneInfo(zone)
    found = next(CronSim(cron, (minute + _SECOND).astimezone(place), reverse=True)).astimezone(UTC)
    early = found - timedelta(days=1)
    if early.astimezone(place).utcoffset() == (minute + timedelta(days=1)).astimezone(place).utcoffset():
        return found
    # Near a change of the clocks what is found backwards need not be what is passed forwards, and that is what counts.
    walked = early
    while (coming := _after(cron, zone, walked)) <= minute:
        walked = coming
    return walked if walked > early else found
