"""A timeline: moments by entity and time, in which the places of many other moments are found at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from treadle.features.entities import NOBODY, Codes
from treadle.features.moments import Ticks

#: Places in a timeline, or rows of a frame.
Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
#: No place, no row.
NOWHERE = -1
_DIGIT = 16


@dataclass(frozen=True)
class Timeline:
    """Moments of entities: those of entity `code` stand at `begins[code]` up to `ends[code]`, in order of time."""

    times: Ticks
    begins: Places
    ends: Places
    #: The frame's row that stands at each place; None: every row, in the frame's own order.
    rows: Places | None

    @classmethod
    def of(cls, codes: Codes, times: Ticks, *, count: int, then: Ticks | None = None) -> Timeline:
        """Bring rows into order: by entity, time, `then` and their own place. Rows of nobody are left out.

        `codes` are below `count`. Entities need not stand in the order of their codes: a frame that is stored entity by
        entity is taken as it is.
        """
        rows = None
        if (codes == NOBODY).any():
            rows = np.flatnonzero(codes != NOBODY)
            codes, times, then = codes[rows], times[rows], None if then is None else then[rows]
        ascends = _ascends(times, then)
        if _stands(codes, ascends, count):
            return cls(times, *_runs(codes, count), rows)
        if ascends.all():
            order = by_code(codes)
        else:
            by_time = np.argsort(times, kind="stable") if then is None else np.lexsort((then, times))
            order = by_time[by_code(codes[by_time])]
        ends = np.cumsum(np.bincount(codes, minlength=count))
        begins = np.concatenate(([0], ends[:-1]))[:count]
        return cls(times[order], begins, ends, order if rows is None else rows[order])

    @cached_property
    def codes(self) -> Codes:
        """The entity at each place."""
        used = np.flatnonzero(self.begins < self.ends)
        used = used[np.argsort(self.begins[used])]
        return np.repeat(used.astype(np.int32), (self.ends - self.begins)[used])

    def row(self, places: Places) -> Places:
        """Return the frame's rows that stand at some places; `NOWHERE` stays."""
        if self.rows is None:
            return places
        if not len(self.rows):
            return np.full(len(places), NOWHERE, dtype=np.int64)
        return np.where(places == NOWHERE, NOWHERE, self.rows[places])

    def last_until(self, codes: Codes, times: Ticks) -> Places:
        """Return the last place of each entity at or before each time, or `NOWHERE`."""
        begins = self.begins[codes]
        found = after(self.times, begins, self.ends[codes], times)
        return np.where(found > begins, found - 1, NOWHERE)


def after(sorted_times: Ticks, begins: Places, ends: Places, times: Ticks) -> Places:
    """Return, for each time, the first place from `begins` to `ends` that is later than it; `ends` if there is none.

    A binary search, all at once. Entity and time are not packed into one number, which could overflow.
    """
    found, last = begins.copy(), len(sorted_times) - 1
    longest = int((ends - begins).max(initial=0))
    step = 1 << longest.bit_length() >> 1
    while step:
        ahead = found + step
        fits = sorted_times[np.minimum(ahead - 1, last)] <= times
        fits &= ahead <= ends
        np.copyto(found, ahead, where=fits)
        step >>= 1
    return found


def by_code(codes: Codes) -> Places:
    """Return the order that brings equal codes together and leaves them in their order: a radix sort, 16 bits at a time."""
    order = np.argsort((codes & (2**_DIGIT - 1)).astype(np.uint16), kind="stable")
    if int(codes.max(initial=0)) >> _DIGIT:
        high = (codes >> _DIGIT).astype(np.uint16)[order]
        order = order[np.argsort(high, kind="stable")]
    return order


def _ascends(times: Ticks, then: Ticks | None) -> Flags:
    """Say of each row but the first whether it is not before the one above it."""
    if then is None:
        return np.asarray(times[1:] >= times[:-1])
    return np.asarray((times[1:] > times[:-1]) | ((times[1:] == times[:-1]) & (then[1:] >= then[:-1])))


def _stands(codes: Codes, ascends: Flags, count: int) -> bool:
    """Say whether each entity's rows stand together, in order of time."""
    changes = codes[1:] != codes[:-1]
    if np.count_nonzero(changes) >= max(count, 1) or not (ascends | changes).all():
        return False
    return int(np.bincount(codes[_starts(codes)], minlength=1).max()) <= 1


def _runs(codes: Codes, count: int) -> tuple[Places, Places]:
    """Return where the rows of each entity begin and end, which stand together."""
    starts = _starts(codes)
    begins, ends = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    begins[codes[starts]] = starts
    ends[codes[starts]] = np.append(starts[1:], len(codes))
    return begins, ends


def _starts(codes: Codes) -> Places:
    """Return the places at which the rows of another entity begin."""
    if not len(codes):
        return np.empty(0, dtype=np.int64)
    return np.concatenate(([0], np.flatnonzero(codes[1:] != codes[:-1]) + 1))
