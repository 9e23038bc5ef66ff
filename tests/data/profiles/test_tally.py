from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from treadle.data.profiles import sample
from treadle.data.profiles.subject import Subject
from treadle.data.profiles.tally import Rows, grain_of, tally

AT = datetime(2013, 1, 1, tzinfo=UTC)


def made(rows: int) -> pl.DataFrame:
    random = np.random.default_rng(1)
    return pl.DataFrame(
        {
            "at": pl.Series([AT + timedelta(hours=n % 500) for n in range(rows)]),
            "number": random.normal(100, 5, rows),
            "few": random.integers(0, 7, rows),
            "text": [None if n % 4 == 0 else f"t{n % 50}" for n in range(rows)],
            "y": random.random(rows) < 0.3,
            "_split": random.choice(["train", "test"], rows),
            "_seq": np.arange(rows),
        }
    )


def test_all_rows_are_counted_whatever_is_sampled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sample, "MOST_CELLS", 0)
    monkeypatch.setattr(sample, "LEAST_ROWS", 500)
    frame = made(5_000)

    found = tally(Rows.of(frame), Subject(time="at", outcomes=("y",)))

    assert found.rows == 5_000
    assert 350 < found.sample.height < 650
    assert found.totals["text"]["missing"] == 1_250
    assert found.totals["number"]["mean"] == pytest.approx(frame["number"].mean())
    assert found.totals["number"]["std"] == pytest.approx(frame["number"].std())
    assert (found.totals["few"]["min"], found.totals["few"]["max"]) == (0, 6)
    assert found.distinct["few"] == 7
    assert found.moments is not None
    assert found.moments["rows"].to_list() == [10] * 500
    assert dict(found.splits.select("_split", "rows").rows()) == dict(frame["_split"].value_counts().rows())
    assert found.splits["known"].sum() == 5_000


def test_a_sample_of_all_rows_tells_different_values_exactly():
    found = tally(Rows.of(made(100)), Subject())

    assert (found.sample.height, found.distinct, found.moments) == (100, {}, None)


def test_names_may_hold_anything():
    frame = pl.DataFrame({"0:missing": [1, None], "a:b": [1, 2], "": [3, 4]})

    found = tally(Rows.of(frame), Subject())

    assert [found.totals[name]["missing"] for name in frame.columns] == [1, 0, 0]


@pytest.mark.parametrize(
    ("days", "grain"),
    [(0, "1s"), (0.5, "1m"), (3, "1m"), (30, "1h"), (399, "1h"), (400, "1d"), (9_000, "1d")],
)
def test_moments_are_counted_finely_enough_and_no_finer(days: float, grain: str):
    assert grain_of(AT, AT + timedelta(days=days)) == grain
