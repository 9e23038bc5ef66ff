from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.data.profiles.profile import Earlier, profile
from treadle.data.profiles.subject import Subject
from treadle.data.profiles.tally import Rows

AT = datetime(2013, 1, 1, tzinfo=UTC)


def grown(*, shift: float = 0.0) -> pl.DataFrame:
    """2,000 rows of version 1 and 1,000 of version 2, whose numbers are shifted and whose texts have a new value."""
    random = np.random.default_rng(0)
    version = np.repeat([1, 2], [2_000, 1_000])
    return pl.DataFrame(
        {
            "id": range(3_000),
            "at": [AT + timedelta(hours=n) for n in range(3_000)],
            "moved": random.normal(size=3_000) + shift * (version == 2),
            "still": random.normal(size=3_000),
            "word": np.where((version == 2) & (shift > 0), "new", random.choice(["a", "b"], 3_000)),
            "_version": version,
        }
    )


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

    found = profile(frame, Subject(dataset="d", version=3, time="at"))

    assert (found.rows, found.version, found.splits) == (4, 3, {"test": 1, "train": 3})
    assert (found.time_min, found.time_max) == (AT, AT)
    assert [column.name for column in found.columns] == ["n", "s", "b", "at"]
    assert [column.missing for column in found.columns] == [0.25, 0.25, 0.25, 0.0]
    assert [column.distinct for column in found.columns] == [3, 2, 2, 1]
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
    empty = pl.DataFrame(schema={"n": pl.Int64, "s": pl.String, "at": pl.Datetime("us", "UTC")})

    found = profile(empty, Subject(time="at"))

    assert (found.rows, found.time_min, found.coverage) == (0, None, None)
    assert found.column("n").missing == 0.0
    assert found.column("n").quantiles == {}
    assert [finding.kind for finding in found.findings] == ["no-rows"]


def test_a_number_that_is_none_counts_as_missing():
    found = profile(pl.DataFrame({"x": [1.0, float("nan"), float("inf"), None]})).column("x")

    assert (found.missing_rows, found.mean, found.max) == (3, 1.0, 1.0)


def test_rows_that_repeat_another_but_for_the_key_are_counted():
    frame = pl.DataFrame({"id": range(6), "a": [1, 1, 1, 2, 3, 3], "b": ["x"] * 6})

    found = profile(frame, Subject(key=("id",)))

    assert found.duplicates == 3
    assert "3 rows repeat another in everything but the key." in [one.text for one in found.findings]


def test_the_order_of_the_rows_makes_no_difference():
    frame = grown().with_columns(pl.col("moved").gt(0).alias("y"), pl.col("id").alias("_seq"))
    subject = Subject(key=("id",), time="at", outcomes=("y",))

    forward, shuffled = (
        profile(frame, subject),
        profile(frame.sample(fraction=1, shuffle=True, seed=3), subject),
    )

    # Sums of floats depend on their order in the last digits.
    assert [one.histogram for one in shuffled.columns] == [one.histogram for one in forward.columns]
    assert shuffled.leakage == forward.leakage
    assert shuffled.findings == forward.findings


def test_rows_that_came_after_an_earlier_version_are_compared_with_it():
    frame = grown(shift=1.0)
    subject = Subject(dataset="d", version=2, key=("id",), time="at")
    before = Earlier(
        Rows.of(frame.filter(pl.col("_version") == 1)), Subject(dataset="d", version=1, time="at")
    )

    found = profile(frame, subject, against=before).comparison

    assert found is not None
    assert (found.before.rows, found.rows_after) == (2_000, 1_000)
    assert {one.column: one.verdict for one in found.changes} == {
        "word": "clear",
        "moved": "clear",
        "still": "chance",
    }
    assert found.changes[0].new_values == (("new", 1.0),)


def test_two_profiles_that_are_laid_over_each_other_share_their_bins():
    frame = grown(shift=1.0)
    before = Earlier(Rows.of(frame.filter(pl.col("_version") == 1)), Subject(version=1, time="at"))

    found = profile(frame, Subject(version=2, time="at"), against=before)

    assert found.comparison is not None
    for column in found.columns:
        other = found.comparison.before.column(column.name)
        assert (column.histogram and column.histogram.edges) == (other.histogram and other.histogram.edges)
        assert len(column.trend) == len(other.trend)
