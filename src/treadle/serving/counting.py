"""Writes down, every quarter of a minute, how many requests a server answered and failed: what promises are measured by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from treadle.core.clock import Clock, monotonic
from treadle.core.counts import Counts, total
from treadle.core.records import to_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger

#: Seconds between writes, and stretches that are kept while the ledger is away.
EVERY, _MOST = 15.0, 10_000
_MINUTE = 60_000_000


class Counting:
    """One server's counts, a row for each endpoint and minute in which it was asked.

    A row holds what this server counted in that minute, and only this server writes it: writing it again changes nothing.
    """

    def __init__(self, ledger: Ledger, *, server: str, clock: Clock, every: float = EVERY) -> None:
        self._ledger, self._server, self._clock, self._every = ledger, server, clock, every
        #: Returns what was counted of each endpoint since the start.
        self.source: Callable[[], Mapping[str, Counts]] = dict
        self._known: Mapping[str, Counts] = {}
        #: By endpoint and minute: what was counted, and whether the ledger has it.
        self._minutes: dict[tuple[str, int], Counts] = {}
        self._unwritten: set[tuple[str, int]] = set()
        self._last = monotonic()

    def look(self, *, force: bool = False) -> None:
        """Write down what is new, when it is time.

        Raises:
            StoreUnavailable: the ledger does not answer; nothing is lost.
        """
        if not force and monotonic() - self._last < self._every:
            return
        self._last = monotonic()
        now = self._clock.now()
        self._count(now)
        if not self._unwritten:
            return
        rows = [
            {
                "endpoint": endpoint,
                "at": minute,
                "span": 60,
                "server": self._server,
                "written": t.micros(now),
                "body": to_json(self._minutes[endpoint, minute]),
            }
            for endpoint, minute in sorted(self._unwritten)
        ]
        with self._ledger.write() as connection:
            t.put_all(connection, t.served_counts, rows)
        self._unwritten.clear()
        current = t.micros(now) // _MINUTE * _MINUTE
        self._minutes = {key: counts for key, counts in self._minutes.items() if key[1] >= current}

    def _count(self, now: datetime) -> None:
        counted = self.source()
        minute = t.micros(now) // _MINUTE * _MINUTE
        for endpoint, counts in counted.items():
            new = counts.less(self._known.get(endpoint, Counts()))
            if new and (len(self._minutes) < _MOST or (endpoint, minute) in self._minutes):
                key = (endpoint, minute)
                self._minutes[key] = total((self._minutes.get(key, Counts()), new))
                self._unwritten.add(key)
        self._known = dict(counted)
