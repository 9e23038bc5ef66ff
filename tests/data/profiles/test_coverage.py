from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from treadle.data.profiles.coverage import coverage

AT = datetime(2013, 1, 1, tzinfo=UTC)


def days(*places: int, rows: int = 100) -> pl.DataFrame:
    return pl.DataFrame(
        {"start": [AT + timedelta(days=place) for place in places], "rows": [rows] * len(places)},
        schema={"start": pl.Datetime("us", "UTC"), "rows": pl.Int64},
    )


def test_days_without_rows_are_counted_as_none_and_marked():
    found = coverage(days(*range(10), *range(13, 30)), grain="1d")

    assert found is not None
    assert (found.every, len(found.starts), sum(found.rows)) == ("1d", 30, 2_700)
    assert found.rows[9:14] == (100, 0, 0, 0, 100)
    assert [(gap.start, gap.end) for gap in found.gaps] == [
        (AT + timedelta(days=10), AT + timedelta(days=13))
    ]


def test_an_empty_day_among_few_rows_is_no_gap():
    found = coverage(days(*range(10), *range(12, 30), rows=2), grain="1d")

    assert found is not None
    assert found.gaps == ()


def test_long_spans_are_counted_in_weeks_and_months():
    found = coverage(days(*range(3_000)), grain="1d")

    assert found is not None
    assert (found.every, found.trend_every, sum(found.rows)) == ("1mo", "3mo", 300_000)


def test_stretches_are_never_finer_than_the_counts():
    found = coverage(days(*range(25)), grain="1d")

    assert found is not None
    assert (found.every, found.gaps) == ("1d", ())


def test_a_moment_far_from_all_others_does_not_flatten_them():
    far = days(-15_706, rows=1)

    found = coverage(pl.concat([far, days(*range(100))]), grain="1d")

    assert found is not None
    assert (found.starts[0], len(found.starts), found.outside) == (AT, 100, 1)


def test_no_moments_have_no_coverage():
    assert coverage(days(), grain="1d") is None


def test_one_moment():
    found = coverage(days(0), grain="1d")

    assert found is not None
    assert (found.starts, found.rows, found.gaps) == ((AT,), (100,), ())
