from __future__ import annotations

from datetime import UTC, datetime

import pytest

from treadle.core.errors import InvalidInput
from treadle.core.records import Window
from treadle.data.windows import Decayed, Expanding, Last, Tumbling, back_fill

END = datetime(2013, 4, 1, tzinfo=UTC)


def test_last_reaches_back_from_its_end():
    assert Last("90d").at(END) == Window(start=datetime(2013, 1, 1, tzinfo=UTC), end=END)


def test_expanding_has_no_start():
    assert Expanding().at(END) == Window(start=None, end=END)


def test_a_moment_without_a_zone_is_utc():
    assert Last("1d").at(datetime(2013, 4, 1)).end == END  # noqa: DTZ001 - a moment without a zone is meant


@pytest.mark.parametrize("span", ["90", "0d", "-1d", ""])
def test_a_span_that_holds_nothing_is_refused(span):
    with pytest.raises(InvalidInput):
        Last(span)


@pytest.mark.parametrize(("day", "last"), [(1, 1), (7, 1), (8, 8)])
def test_tumbling_windows_are_whole_weeks_from_monday(day, last):
    found = Tumbling("7d").at(datetime(2013, 4, day, tzinfo=UTC))

    assert found == Window(
        start=datetime(2013, 3, 25 + last - 1, tzinfo=UTC) if last == 1 else END, end=END.replace(day=last)
    )


def test_a_decayed_window_is_another_window_with_a_half_life():
    found = Decayed("30d", within=Last("90d")).at(END)

    assert found == Window(start=datetime(2013, 1, 1, tzinfo=UTC), end=END, half_life=30 * 86400)


def test_an_expanding_window_may_begin_somewhere():
    since = datetime(2012, 1, 1, tzinfo=UTC)

    assert Expanding(since=since).at(END).start == since
    assert Expanding(since=since).spec() != Expanding().spec() == {"window": "expanding"}


def test_a_back_fill_has_the_window_of_each_run():
    windows = back_fill(Last("2d"), since=END, until=datetime(2013, 4, 8, tzinfo=UTC), every="3d")
    weeks = back_fill(Tumbling("7d"), since=END, until=datetime(2013, 4, 16, tzinfo=UTC), every="1d")

    assert [(w.start.day, w.end.day) for w in windows] == [(30, 1), (2, 4), (5, 7)]
    assert [w.end.day for w in weeks] == [1, 8, 15]
    with pytest.raises(InvalidInput, match="is before since"):
        back_fill(Last("2d"), since=END, until=datetime(2013, 3, 1, tzinfo=UTC), every="3d")
