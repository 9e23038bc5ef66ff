from __future__ import annotations

import numpy as np

from treadle.features.asof import Events, latest
from treadle.features.timelines import NOWHERE, Timeline


def codes(*values):
    return np.array(values, dtype=np.int32)


def times(*values):
    return np.array(values, dtype=np.int64)


def found(asked, given, *, arrivals=None, age=None):
    """Return the row of `given` that each row of `asked` gets."""
    here = Timeline.of(codes(*(code for code, _ in asked)), times(*(at for _, at in asked)), count=2)
    events = Events.of(
        codes(*(code for code, _ in given)),
        times(*(at for _, at in given)),
        None if arrivals is None else times(*arrivals),
        count=2,
    )
    rows = events.timeline.row(latest(here, events, age=age))
    order = range(len(asked)) if here.rows is None else here.rows
    return [int(row) for _, row in sorted(zip(order, rows, strict=True))]


def test_the_latest_event_of_the_entity_is_found():
    assert found([(1, 5), (0, 5), (0, 4)], [(0, 5), (0, 2), (1, 6)]) == [NOWHERE, 0, 1]


def test_an_event_is_found_from_its_arrival():
    given = [(0, 1), (0, 2), (0, 3)]

    assert found([(0, at) for at in range(7)], given, arrivals=[6, 5, 3]) == [
        *(NOWHERE, NOWHERE, NOWHERE),
        *(2, 2, 2, 2),
    ]
    assert found([(0, at) for at in (3, 4, 5)], given, arrivals=[3, 4, 5]) == [0, 1, 2]


def test_what_is_seen_of_one_entity_does_not_show_in_another():
    # The second entity stands first, so that its places are lower than those of the first.
    given = [(1, 1), (1, 2), (0, 1), (0, 2)]

    assert found([(0, 9), (1, 9), (1, 3)], given, arrivals=[9, 3, 9, 3]) == [3, 1, 1]
    assert found([(0, 2), (1, 2)], given, arrivals=[9, 3, 9, 3]) == [NOWHERE, NOWHERE]


def test_an_old_event_is_found_up_to_an_age():
    assert found([(0, 5), (0, 6)], [(0, 2)], age=3) == [0, NOWHERE]


def test_among_no_events_none_is_found():
    assert found([(0, 5)], [], age=3) == [NOWHERE]
    assert found([(0, 5)], [], arrivals=[]) == [NOWHERE]
    assert found([], [(0, 5)], arrivals=[5]) == []
