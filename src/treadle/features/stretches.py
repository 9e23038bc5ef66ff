"""Stretches: which of the rows that ask see an event. Sorted by entity and time, they stand side by side.

An event that is seen from one moment to another is seen by all rows of its entity between the two, and by no others. What
a row knows of all events that it sees follows from the stretches alone, whatever the order in which events arrived, at a
cost that does not grow with the number of events in a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from treadle.features.asof import Events
from treadle.features.moments import Ticks, earlier, later
from treadle.features.timelines import Places, Timeline, after, by_code

#: Below every key.
LEAST = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Stretches:
    """The events that anybody sees, and for each of them the first place that sees it and the place after the last."""

    #: The place of each event in the timeline of events.
    events: Places
    begins: Places
    ends: Places
    #: How many places there are.
    height: int

    @classmethod
    def of(cls, asked: Timeline, events: Events, *, spans: Sequence[int]) -> Iterator[Stretches]:
        """Yield, for each span, the rows that see an event: t - span <= its time, and it had arrived by t; both count."""
        codes = events.timeline.codes
        first, last = asked.begins[codes], asked.ends[codes]
        # The moments later than the tick before: those at or after.
        begins = after(asked.times, first, last, earlier(events.seen, 1))
        for span in spans:
            ends = after(asked.times, begins, last, later(events.timeline.times, span))
            used = np.flatnonzero(begins < ends)
            yield cls(events=used, begins=begins[used], ends=ends[used], height=len(asked.times))

    def only(self, wanted: Places) -> Stretches:
        """Return some of the events, by their number in this list."""
        return Stretches(self.events[wanted], self.begins[wanted], self.ends[wanted], self.height)

    def totals(self, amounts: Ticks) -> Ticks:
        """Return, for each place, the sum of whole amounts over the events that it sees; exact unless that wraps round."""
        change = np.zeros(self.height + 1, dtype=np.int64)
        np.add.at(change, self.begins, amounts)
        np.subtract.at(change, self.ends, amounts)
        return np.cumsum(change)[:-1]

    def counts(self) -> Ticks:
        """Return how many events each place sees."""
        return self.totals(np.ones(len(self.events), dtype=np.int64))

    def greatest(self, keys: Ticks) -> Ticks:
        """Return the greatest key that each place sees, or `LEAST`.

        A sparse table the other way round: an event is written over two blocks of 2^k places that cover its stretch, and
        blocks are halved, from the largest on, until each is one place.
        """
        # Lengths are below 2^53, so a float holds them.
        levels = np.frexp((self.ends - self.begins).astype(np.float64))[1] - 1
        table = np.full(self.height, LEAST, dtype=np.int64)
        for level in range(int(levels.max(initial=0)), -1, -1):
            half = 1 << level
            halved = table.copy()
            np.maximum(halved[half:], table[:-half], out=halved[half:])
            table = halved
            chosen = np.flatnonzero(levels == level)
            np.maximum.at(table, self.begins[chosen], keys[chosen])
            np.maximum.at(table, self.ends[chosen] - half, keys[chosen])
        return table

    def distinct(self, groups: Places) -> Ticks:
        """Return how many groups are among the events that each place sees."""
        order = by_code(self.begins.astype(np.int32))
        order = order[by_code(groups[order].astype(np.int32))]
        group, begins, ends = groups[order], self.begins[order], self.ends[order]
        # Stretches of one group may overlap; each is cut where the ones before it end. Groups are lifted apart.
        reach = np.maximum.accumulate(group * (self.height + 1) + ends) - group * (self.height + 1)
        before = np.concatenate(([0], reach[:-1]))
        before[1:][group[1:] != group[:-1]] = 0
        begins = np.maximum(begins, before)
        kept = np.flatnonzero(begins < ends)
        return Stretches(order[kept], begins[kept], ends[kept], self.height).counts()
