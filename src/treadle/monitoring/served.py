"""What servers counted of each endpoint, in memory as in the ledger: only what is new is read."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import delete, select

from treadle.core.clock import Clock
from treadle.core.counts import Counts, total
from treadle.core.records import from_json, to_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

_SECOND = 1_000_000
HOUR = 3600
#: Minutes are kept apart for so long, hours for so long.
_MINUTES, _HOURS = timedelta(hours=3), timedelta(days=100)
#: What others wrote may have an older moment than what was read: their clocks, and transactions that took long.
_SLACK = 300 * _SECOND
_AT_ONCE = 50_000


class Served:
    """Counts of endpoints by minute, and by hour where they are older.

    Minutes that are older than three hours become hours, so that a year of traffic is a few thousand rows for each endpoint.
    """

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        #: By endpoint: (at, span, server) → counts.
        self._rows: dict[str, dict[tuple[int, int, str], Counts]] = defaultdict(dict)
        self._read_until = -1

    def refresh(self) -> None:
        """Read what is new."""
        wanted = (
            select(t.served_counts)
            .where(t.served_counts.c.written > self._read_until - _SLACK)
            .order_by(t.served_counts.c.written)
        )
        with self._ledger.read() as connection:
            for row in connection.execute(wanted):
                rows = self._rows[row.endpoint]
                rows[row.at, row.span, row.server] = from_json(row.body, Counts)
                self._read_until = max(self._read_until, row.written)
                if row.span == HOUR:
                    end = row.at + HOUR * _SECOND
                    for key in [k for k in rows if k[1] != HOUR and row.at <= k[0] < end]:
                        del rows[key]
        self._forget()

    def counted(self, endpoint: str, window: timedelta) -> Counts:
        """Return what was counted in a window that ends now; of a stretch that begins before it, its share."""
        now = t.micros(self._clock.now())
        start = now - window // timedelta(microseconds=1)
        parts = []
        for (at, span, _), counts in self._rows.get(endpoint, {}).items():
            end = at + span * _SECOND
            if at >= start:
                parts.append(counts)
            elif end > start:
                parts.append(counts.part((end - start) / (end - at)))
        return total(parts)

    def endpoints(self) -> list[str]:
        """Return the endpoints of which anything is known."""
        return sorted(name for name, rows in self._rows.items() if rows)

    def compact(self) -> int:
        """Make hours of old minutes and forget very old hours, where there are some; return how many rows went."""
        now = self._clock.now()
        hour = HOUR * _SECOND
        ripe = t.micros(now - _MINUTES) // hour * hour
        old = (t.served_counts.c.span == 60) & (t.served_counts.c.at < ripe)
        gone = (t.served_counts.c.span == HOUR) & (t.served_counts.c.at < t.micros(now - _HOURS))
        with self._ledger.read() as connection:
            if connection.execute(select(t.served_counts.c.at).where(old | gone).limit(1)).first() is None:
                return 0
        with self._ledger.write() as connection:
            connection.execute(delete(t.served_counts).where(gone))
            minutes = connection.execute(
                select(t.served_counts).where(old).order_by(t.served_counts.c.at).limit(_AT_ONCE)
            ).all()
            if not minutes:
                return 0
            if (
                len(minutes) == _AT_ONCE
            ):  # of its last moment not all may have been read: they stay for the next time
                old &= t.served_counts.c.at < minutes[-1].at
                minutes = [row for row in minutes if row.at < minutes[-1].at]
            hours: dict[tuple[str, int], list[Counts]] = defaultdict(list)
            for row in minutes:
                hours[row.endpoint, row.at // hour * hour].append(from_json(row.body, Counts))
            there = select(t.served_counts).where(
                (t.served_counts.c.span == HOUR) & (t.served_counts.c.at >= minutes[0].at // hour * hour)
            )
            for row in connection.execute(there):
                if (row.endpoint, row.at) in hours:
                    hours[row.endpoint, row.at].append(from_json(row.body, Counts))
            made = [
                {
                    "endpoint": endpoint,
                    "at": at,
                    "span": HOUR,
                    "server": "",
                    "written": t.micros(now),
                    "body": to_json(total(counts)),
                }
                for (endpoint, at), counts in hours.items()
            ]
            t.put_all(connection, t.served_counts, made)
            connection.execute(delete(t.served_counts).where(old))
        return len(minutes)

    def _forget(self) -> None:
        before = t.micros(self._clock.now() - _HOURS)
        for rows in self._rows.values():
            for key in [key for key in rows if key[0] < before]:
                del rows[key]
