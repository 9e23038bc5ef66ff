"""Columns as counts: what is kept, what is counted in the same cells, and what is added up."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from treadle.monitoring.summaries import Category, Numeric, Text, count, learn, merged

RANDOM = np.random.default_rng(4)


def test_every_row_is_in_one_cell() -> None:
    series = pl.Series(RANDOM.standard_normal(10_000))

    found = learn(series)

    assert isinstance(found, Numeric)
    assert (found.counts.sum(), found.missing, len(found.counts)) == (10_000, 0, len(found.edges) + 1)
    assert found.counts.max() < 2 * 10_000 / 128
    assert np.array_equal(count(series, found).counts, found.counts)


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1.0, None, float("nan"), 3.0]),
        pl.Series([1, None, None, 3]),
        pl.Series([True, None, None, False]),
        pl.Series([float("inf"), float("-inf"), None, float("nan")]),
        pl.Series([1.5, None, float("nan"), 3.0], dtype=pl.Float32),
    ],
    ids=["float", "integer", "boolean", "infinite", "float32"],
)
def test_rows_without_a_value_are_missing(values: pl.Series) -> None:
    found = learn(values)

    assert (found.rows, found.missing, found.known) == (4, 2, 2)
    assert count(values, found).missing == 2


def test_few_numbers_have_a_cell_each() -> None:
    found = learn(pl.Series([0, 0, 0, 1, 2, 2]))

    assert isinstance(found, Numeric)
    assert (found.edges.tolist(), found.counts.tolist()) == ([0.0, 1.0], [3, 1, 2])


def test_what_lies_beyond_is_counted() -> None:
    reference = learn(pl.Series([1.0, 2.0, 3.0]))

    found = count(pl.Series([0.0, 1.0, 3.0, 4.0, 5.0]), reference)

    assert isinstance(found, Numeric)
    assert (found.below, found.above) == (1, 2)


def test_new_values_are_told_apart() -> None:
    reference = learn(pl.Series(["a"] * 5 + ["b"]))

    found = count(pl.Series(["a", "c", "c", "d", "", None]), reference)

    assert isinstance(found, Category)
    assert (found.counts.tolist(), found.fresh, found.fresh_rows, found.fresh_once, found.missing) == (
        [1, 0],
        (("c", 2), ("d", 1)),
        3,
        1,
        2,
    )


def test_many_different_texts_are_text() -> None:
    found = learn(pl.Series([f"flight {number} is late" for number in range(500)]))

    assert isinstance(found, Text)
    assert (found.named["late"], found.words.max() >= 500) == (500, True)


def test_texts_that_became_numbers_are_missing_numbers() -> None:
    reference = learn(pl.Series([1.0, 2.0, 3.0]))

    assert count(pl.Series(["1.5", "n/a"]), reference).missing == 1


@pytest.mark.parametrize(
    "series",
    [
        pl.Series(RANDOM.standard_normal(3_000)),
        pl.Series(RANDOM.choice(["a", "b", "c"], 3_000)),
        pl.Series([f"word{number} text" for number in range(3_000)]),
    ],
    ids=["numbers", "categories", "texts"],
)
def test_days_add_up_to_a_week(series: pl.Series) -> None:
    reference = learn(series[:1_000])
    days = [count(series[start : start + 500], reference) for start in range(1_000, 3_000, 500)]

    week = days[0]
    for day in days[1:]:
        week = merged(week, day)

    whole = count(series[1_000:], reference)
    assert (week.rows, week.missing) == (whole.rows, whole.missing)
    for name in ("counts", "words"):
        if hasattr(whole, name):
            assert np.array_equal(getattr(week, name), getattr(whole, name))


def test_other_cells_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="same reference"):
        merged(learn(pl.Series([1.0, 2.0])), learn(pl.Series([3.0, 4.0])))
