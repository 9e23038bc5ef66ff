from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import jensenshannon

import treadle as td
from treadle.core.errors import InvalidInput
from treadle.data.datasets import Datasets


def rows(first: int, count: int, *, mean: float = 0.0, late: float = 0.2, word: str = "old") -> str:
    random = np.random.default_rng(first + 1)
    known = pl.Series(random.random(count) < 0.5)
    frame = pl.DataFrame(
        {
            "id": range(first, first + count),
            "at": pl.Series([first] * count).cast(pl.Datetime("ms")),
            "x": random.normal(mean, 1, count),
            "y": random.normal(5, 1, count),
            "word": random.choice(["always", word], count),
            "late": random.random(count) < late,
        }
    ).with_columns(pl.when(known).then("late").alias("late"))
    return frame.write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def sales() -> td.Dataset:
    return td.Dataset("sales", source=td.Files("in/*.csv"), key="id", time="at", outcome="late")


@pytest.fixture
def grown(datasets: Datasets, land, sales: td.Dataset) -> Datasets:
    """Version 2 has 400 rows more than version 1 with its 2,000: their x is one larger, and a word is new."""
    land("in/1.csv", rows(0, 2_000))
    datasets.ingest(sales)
    land("in/2.csv", rows(2_000, 400, mean=1.0, word="new"))
    datasets.ingest(sales)
    return datasets


def test_what_came_is_compared_with_what_was_there(grown: Datasets):
    found = grown.distributions("sales", 1)

    assert [shift.column for shift in found.shifts][:2] == ["word", "x"]
    assert {shift.column for shift in found.moved} == {"word", "x"}
    assert (found.before, found.after, found.rows_before, found.rows_came, found.rows_after) == (
        1,
        2,
        2_000,
        400,
        2_400,
    )
    assert found.sampled == (2_000, 400, 2_400)
    word, x = found.moved
    assert x.came is not None
    assert x.came.effect == pytest.approx(1.0, abs=0.1)
    assert x.came.mean == pytest.approx(1.0, abs=0.1)
    assert word.came is not None
    assert word.came.distance == pytest.approx(jensenshannon([0.5, 0.5, 0], [0.5, 0, 0.5], base=2), abs=0.02)
    assert (word.came.effect, word.came.mean) == (None, None)
    assert {value for value, _ in word.came.new_values} == {"new"}


def test_counts_are_those_of_the_rows(grown: Datasets):
    word = grown.distributions("sales", 1).shifts[0]
    before, after = (grown.read("sales", version=version)["word"] for version in (1, 2))
    came = after.tail(400)

    assert word.came is not None
    assert word.whole is not None
    counted = {one.label: (one.rows_before, one.rows) for one in word.came.bins}
    whole = {one.label: (one.rows_before, one.rows) for one in word.whole.bins}
    for label in ("always", "old", "new"):
        there = (before == label).sum()
        assert counted[label] == (there, (came == label).sum())
        assert whole[label] == (there, (after == label).sum())
    assert word.came.bins[0].label in {"old", "new"}
    assert sum(one.share for one in word.came.bins) == pytest.approx(1.0)


def test_an_outcome_is_compared_where_it_is_known(grown: Datasets, land, sales: td.Dataset):
    land("in/3.csv", rows(3_000, 600, late=0.8))
    grown.ingest(sales)

    (late,) = [shift for shift in grown.distributions("sales", 2).shifts if shift.column == "late"]

    known = [grown.read("sales", version=version)["late"].drop_nulls() for version in (2, 3)]
    assert late.came is not None
    assert late.came.mean == pytest.approx(0.8, abs=0.06)
    assert sum(one.rows_before for one in late.came.bins) == len(known[0])
    assert sum(one.rows for one in late.came.bins) == len(known[1]) - len(known[0])


def test_what_was_deleted_shows_in_the_whole(grown: Datasets):
    grown.delete("sales", where={"word": "old"}, reason="a test")

    found = grown.distributions("sales", 2)

    (word,) = found.moved
    assert (word.column, word.came) == ("word", None)
    assert word.whole is not None
    moved = {one.label: one.rows for one in word.whole.bins}
    assert moved["old"] == 0
    assert found.rows_came == 0


def test_nothing_moved_where_nothing_changed(datasets: Datasets, land, sales: td.Dataset):
    land("in/1.csv", rows(0, 2_000))
    datasets.ingest(sales)
    land("in/2.csv", rows(2_000, 500))
    datasets.ingest(sales)

    found = datasets.distributions("sales", 1)

    assert found.moved == ()
    assert {shift.column for shift in found.shifts} == {"x", "y", "word", "late"}


def test_the_earlier_version_comes_first(grown: Datasets):
    with pytest.raises(InvalidInput, match="is not before"):
        grown.distributions("sales", 2, after=1)
    with pytest.raises(InvalidInput, match="is not before"):
        grown.distributions("sales", 2)
