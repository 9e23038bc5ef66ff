from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from treadle.data.profiles.columns import column_profile
from treadle.data.profiles.records import ColumnProfile
from treadle.data.profiles.subject import Subject
from treadle.data.profiles.tally import Rows, tally


def described(values: pl.Series, **subject: object) -> ColumnProfile:
    found = tally(Rows.of(values.to_frame()), Subject(**subject))
    return column_profile(values.name, found, Subject(**subject))


def test_numbers_have_quantiles_skew_and_zeros():
    found = described(pl.Series("x", [0, 0, 1, 2, 97, None]))

    assert (found.kind, found.missing_rows, found.distinct, found.distinct_exact) == ("int", 1, 4, True)
    assert (found.quantiles["0.5"], found.zeros) == (1.0, 0.4)
    assert found.std == pytest.approx(43.0, abs=0.2)
    assert found.skew == pytest.approx(1.5, abs=0.01)


def test_a_constant_has_no_skew():
    assert described(pl.Series("x", [0.1, 0.1, 0.1])).skew is None


def test_moments_and_days_have_bounds_and_a_distribution():
    moments = described(pl.Series("at", [datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 3, 1, tzinfo=UTC)]))
    days = described(pl.Series("on", [date(2013, 1, 1), None, date(2013, 1, 9)]))

    assert (moments.kind, days.kind) == ("datetime", "date")
    assert (moments.min, days.max) == ("2013-01-01T00:00:00+00:00", "2013-01-09")
    assert moments.histogram is not None
    assert sum(moments.histogram.counts) == 2
    assert days.histogram is not None
    assert days.histogram.edges[0] == 15_706


def test_text_has_its_commonest_values_and_lengths():
    found = described(pl.Series("word", ["ab", "ab", "é", None, "abc"]))

    assert found.top == (("ab", 2), ("abc", 1), ("é", 1))
    assert found.lengths is not None
    assert (found.lengths.min, found.lengths.mean, found.lengths.max) == (1, 2.0, 3)


def test_ties_among_the_commonest_are_broken_by_value():
    found = described(pl.Series("word", [f"v{n:02}" for n in reversed(range(20))]))

    assert found.top == tuple((f"v{n:02}", 1) for n in range(10))


@pytest.mark.parametrize(
    "values",
    [
        pl.Series("x", [[1], [2]]),
        pl.Series("x", [{"a": 1}]),
        pl.Series("x", [b"x"]),
        pl.Series("x", [None, None]),
    ],
)
def test_what_a_dataset_cannot_hold_is_described_by_its_type_alone(values: pl.Series):
    found = described(values)

    assert found.kind == "other"
    assert (found.top, found.histogram, found.mean) == ((), None, None)


def test_categories_count_as_text():
    found = described(pl.Series("x", ["b", "a", "b"], dtype=pl.Categorical))

    assert (found.kind, found.top, found.min) == ("str", (("b", 2), ("a", 1)), "a")


def test_roles_are_told():
    assert described(pl.Series("y", [True, False]), outcomes=("y",), key=("y",)).roles == ("key", "outcome")
