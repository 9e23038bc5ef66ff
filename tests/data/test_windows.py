from __future__ import annotations

from datetime import UTC, datetime

import pytest

from treadle.core.errors import InvalidInput
from treadle.core.records import Window
from treadle.data.windows import Expanding, Last

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
