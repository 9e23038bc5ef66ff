"""As of a moment: finds, for each row that asks, the latest value that had arrived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from treadle.features.entities import Codes
from treadle.features.moments import Ticks, earlier
from treadle.features.timelines import NOWHERE, Places, Timeline


@dataclass(frozen=True)
class Events:
    """The rows of a view that somebody may see, entity by entity, in order of time, arrival and landing."""

    timeline: Timeline
    #: From when on the row at each place is seen: its time, or its arrival where that is later.
    seen: Ticks

    @classmethod
    def of(cls, codes: Codes, times: Ticks, arrivals: Ticks | None, *, count: int) -> Events:
        """Bring rows into order; those of nobody (unknown entity, no time, no arrival) are left out."""
        timeline = Timeline.of(codes, times, count=count, then=arrivals)
        if arrivals is None:
            return cls(timeline, timeline.times)
        arrived = arrivals if timeline.rows is None else arrivals[timeline.rows]
        return cls(timeline, np.maximum(timeline.times, arrived))


def latest(asked: Timeline, events: Events, *, age: int | None) -> Places:
    """Return, for each place of `asked`, the place of the event that holds then, or `NOWHERE`.

    It is the last of those that are seen, by time, arrival and landing; none where that one is older than `age` ticks.
    """
    timeline = events.timeline
    found = _last_seen(asked, events)
    if age is not None and len(timeline.times):
        fresh = timeline.times[found] >= earlier(asked.times, age)
        found = np.where(fresh, found, NOWHERE)
    return found


def _last_seen(asked: Timeline, events: Events) -> Places:
    """Return the place of the last event that is seen.

    An event that arrives late is seen from then on, but does not take the place of one that holds from a later moment:
    hence, over each entity's events in the order in which they are seen, the running maximum of their places.
    """
    timeline = events.timeline
    if events.seen is timeline.times:
        return timeline.last_until(asked.codes, asked.times)
    arriving = Timeline.of(timeline.codes, events.seen, count=len(timeline.begins))
    found = arriving.last_until(asked.codes, asked.times)
    if arriving.rows is None or not len(arriving.rows):
        return found
    best = _running_maximum(arriving.codes, arriving.rows)
    return np.where(found == NOWHERE, NOWHERE, best[found])


def _running_maximum(codes: Codes, places: Places) -> Places:
    """Return, for each place, the greatest so far among those of its entity, whose rows stand together."""
    entity = np.cumsum(np.concatenate(([0], codes[1:] != codes[:-1])))
    # Below 2^62 as long as there are fewer than 2^31 rows, and no frame that fits into memory has more.
    lifted = entity * len(places) + places
    return np.asarray(np.maximum.accumulate(lifted) - entity * len(places))
