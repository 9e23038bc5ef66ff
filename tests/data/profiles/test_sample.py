from __future__ import annotations

import numpy as np
import polars as pl

from treadle.data.profiles.sample import MARK, marked, sampled


def drawn(rows: pl.LazyFrame, *, total: int, size: int) -> pl.DataFrame:
    return sampled(marked(rows), total=total, size=size).collect()


def test_all_rows_are_drawn_where_that_is_enough():
    found = drawn(pl.LazyFrame({"x": range(10)}), total=10, size=10)

    assert found["x"].to_list() == list(range(10))


def test_about_as_many_rows_are_drawn_as_asked_for_from_all_over():
    found = drawn(pl.LazyFrame({"_seq": range(100_000)}), total=100_000, size=10_000)

    by_part = np.histogram(found["_seq"].to_numpy(), bins=10, range=(0, 100_000))[0]
    # Five standard deviations of a thousand drawn at random.
    assert abs(found.height - 10_000) < 475
    assert np.all(np.abs(by_part - 1_000) < 150)


def test_the_same_rows_are_drawn_in_any_order():
    rows = pl.DataFrame({"_seq": range(5_000)})

    forward, backward = (drawn(one.lazy(), total=5_000, size=500)["_seq"] for one in (rows, rows.reverse()))

    assert sorted(forward) == sorted(backward)


def test_marks_do_not_follow_a_rhythm_of_the_rows():
    marks = marked(pl.LazyFrame({"_seq": range(70_000)})).collect()

    every_seventh = marks.filter(pl.col("_seq") % 7 == 0)[MARK].to_numpy()
    assert abs(every_seventh.mean() / 2**32 - 0.5) < 0.02


def test_marks_are_written_down():
    marks = marked(pl.LazyFrame({"_seq": [0, 1, 2, 1_000_000]})).collect()[MARK].to_list()

    assert marks == [0, 824_515_495, 1_722_258_072, 3_860_059_442]
