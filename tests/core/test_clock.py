"""Clocks and spans."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from treadle.core.clock import FileClock, ManualClock, SystemClock, parse_span, utc
from treadle.core.errors import InvalidInput, SettingsError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", timedelta(days=90)),
        ("1d12h", timedelta(hours=36)),
        ("0s", timedelta(0)),
        ("2w", timedelta(14)),
        (f"{'0' * 30}5s", timedelta(seconds=5)),
    ],
)
def test_spans(text, expected):
    assert parse_span(text) == expected


@pytest.mark.parametrize("text", ["", "90", "d", "1 d", "-1d", "1y", "1d x"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(InvalidInput, match="is not a span of time"):
        parse_span(text)


@pytest.mark.parametrize("text", ["999999999w", "9" * 5000 + "s"])
def test_a_span_has_a_longest(text):
    with pytest.raises(InvalidInput, match=f"'{text}' is longer than a span of time can be"):
        parse_span(text)


def test_processes_share_the_moment_in_a_file(tmp_path):
    here, there = FileClock(tmp_path / "now"), FileClock(tmp_path / "now")

    here.set(datetime(2013, 2, 1, tzinfo=UTC))

    assert there.now() == datetime(2013, 2, 1, tzinfo=UTC)


def test_a_clock_file_without_a_moment_is_told(tmp_path):
    (tmp_path / "now").write_text("soon")

    with pytest.raises(SettingsError, match=r"clock.file.*ISO 8601"):
        FileClock(tmp_path / "now").now()


def test_a_manual_clock_stands_where_it_was_put():
    clock = ManualClock(datetime(2013, 1, 1, tzinfo=UTC))

    clock.advance("1d")

    assert clock.now() == datetime(2013, 1, 2, tzinfo=UTC)


def test_a_moment_without_zone_is_utc():
    assert utc(datetime(2013, 1, 1)) == datetime(2013, 1, 1, tzinfo=UTC)  # noqa: DTZ001


def test_the_system_clock_is_in_utc():
    assert SystemClock().now().utcoffset() == timedelta(0)
