from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from treadle.data.profile import profile

AT = datetime(2013, 1, 1, tzinfo=UTC)


def test_a_profile_describes_every_column():
    frame = pl.DataFrame(
        {
            "n": [1, 2, None, 4],
            "s": ["b", "a", "b", None],
            "b": [True, True, False, None],
            "at": [AT, AT, AT, AT],
            "_split": ["train", "test", "train", "train"],
        }
    )

    found = profile(frame, dataset="d", version=3, time="at")

    assert (found.rows, found.version, found.splits) == (4, 3, {"test": 1, "train": 3})
    assert (found.time_min, found.time_max) == (AT, AT)
    assert [column.name for column in found.columns] == ["n", "s", "b", "at"]
    assert [column.missing for column in found.columns] == [0.25, 0.25, 0.25, 0.0]
    assert (found.column("n").min, found.column("n").max, found.column("n").mean) == (
        1,
        4,
        pytest.approx(7 / 3),
    )
    assert found.column("n").quantiles["0.5"] == 2
    assert found.column("s").top == (("b", 2), ("a", 1))
    assert found.column("b").mean == pytest.approx(2 / 3)
    assert found.column("at").min == "2013-01-01T00:00:00+00:00"


def test_a_profile_of_no_rows():
    found = profile(pl.DataFrame(schema={"n": pl.Int64, "at": pl.Datetime("us", "UTC")}), time="at")

    assert (found.rows, found.time_min) == (0, None)
    assert found.column("n").missing == 0.0
    assert found.column("n").quantiles == {}
