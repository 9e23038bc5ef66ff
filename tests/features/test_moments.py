from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidInput
from treadle.features.moments import earlier, later, span_ticks, tick, ticks, unit_of

LEAST, MOST = -(2**63), 2**63 - 1


def test_the_finest_unit_is_taken():
    coarse = pl.Series([datetime(2013, 1, 1)], dtype=pl.Datetime("ms"))  # noqa: DTZ001

    assert unit_of(coarse, pl.Series([date(2013, 1, 1)])) == "us"
    assert unit_of(coarse, coarse.cast(pl.Datetime("ns"))) == "ns"


def test_a_moment_is_the_same_in_every_zone():
    here = pl.Series([datetime(2013, 3, 10, 7, tzinfo=UTC)])
    there = here.dt.convert_time_zone("America/New_York")

    assert ticks(here, "us").to_list() == ticks(there, "us").to_list() == [tick(here.item(), "us")]
    assert ticks(here.dt.replace_time_zone(None), "ns").to_list() == [tick(here.item(), "us") * 1000]


def test_what_nanoseconds_cannot_hold_keeps_its_side():
    far = pl.Series([datetime(1, 1, 1, tzinfo=UTC), None, datetime(9999, 1, 1, tzinfo=UTC)])

    assert ticks(far, "ns").to_list() == [LEAST, None, MOST]


def test_numbers_are_no_moments():
    with pytest.raises(InvalidInput, match="Column 'at' is Int64. Expected moments"):
        ticks(pl.Series("at", [1]), "us")


def test_spans_stop_at_the_ends_of_time():
    moments = np.array([LEAST, LEAST + 5, 0, MOST])

    assert earlier(moments, 5).tolist() == [LEAST, LEAST, -5, MOST - 5]
    assert later(moments, 5).tolist() == [LEAST + 5, LEAST + 10, 5, MOST]
    assert span_ticks(timedelta(seconds=1), "ns") == 10**9
    assert span_ticks(timedelta(days=999_999_999), "ns") == MOST
    assert earlier(moments, MOST).tolist() == [LEAST, LEAST, -MOST, 0]
