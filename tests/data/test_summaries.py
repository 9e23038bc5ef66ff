from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.core.records import from_json, to_json
from treadle.data.summaries import (
    POINTS,
    TOP,
    Summary,
    category_distance,
    cumulative_distance,
    merged,
    renewed,
    summarise,
)


def column(values, dtype=None):
    found = summarise(pl.DataFrame({"x": pl.Series(values, dtype=dtype)}), ["x"]).column("x")
    assert found is not None
    return found


def shares(values, places):
    return np.searchsorted(np.sort(values), places, side="right") / len(values)


def test_numbers_have_mean_spread_and_points():
    found = column([1, 2, 2, None, 5])

    assert (found.rows, found.missing, found.missing_share) == (5, 1, 0.2)
    assert (found.mean, found.std) == (2.5, 1.5)
    assert found.points == ((1.0, 1), (2.0, 2), (5.0, 1))


def test_text_has_its_commonest_values():
    found = column(["a", "b", "a", None])

    assert (found.top, found.others, found.mean) == ((("a", 2), ("b", 1)), 0, None)


def test_booleans_have_both():
    found = column([True, False, True, True])

    assert (found.top, found.mean) == ((("true", 3), ("false", 1)), 0.75)


def test_moments_and_vectors_are_only_counted():
    for values in ([datetime(2013, 1, 1, tzinfo=UTC), None], [[1.0], None]):
        found = column(values)
        assert (found.rows, found.missing, found.points, found.top) == (2, 1, (), ())


def test_an_empty_column_can_be_summarised_and_added():
    empty, some = (
        summarise(pl.DataFrame({"x": pl.Series(values, dtype=pl.Int64)}), ["x"]) for values in ([], [1, 2])
    )

    assert merged(empty, some) == some == merged(some, empty)
    assert cumulative_distance(empty.columns[0], some.columns[0]) == 0


def test_a_summary_can_be_stored():
    found = summarise(
        pl.DataFrame({"x": np.random.default_rng(0).normal(size=5_000), "s": ["a"] * 5_000}), ["x", "s"]
    )

    assert from_json(to_json(found), Summary) == found
    assert len(to_json(found)) < 16_000


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from(["normal", "zeros", "few", "heavy"]), st.integers(1, 6))
def test_cumulative_shares_stay_exact_to_a_few_points_however_often_rows_are_added(seed, shape, parts):
    random = np.random.default_rng(seed)
    values = {
        "normal": lambda n: random.normal(size=n),
        "zeros": lambda n: np.where(random.random(n) < 0.6, 0.0, random.random(n)),
        "few": lambda n: random.integers(0, 5, n).astype(float),
        "heavy": lambda n: random.standard_cauchy(n),
    }[shape](3_000)

    found = None
    for part in np.array_split(values, parts):
        one = summarise(pl.DataFrame({"x": part}), ["x"])
        found = one if found is None else merged(found, one)

    (kept,) = found.columns
    assert len(kept.points) <= POINTS
    assert sum(weight for _, weight in kept.points) == len(values)
    assert kept.mean == pytest.approx(values.mean())
    assert kept.std == pytest.approx(values.std())
    places = np.quantile(values, np.linspace(0, 1, 101))
    counted = np.cumsum([weight for _, weight in kept.points]) / len(values)
    told = np.concatenate([[0], counted])[np.searchsorted([v for v, _ in kept.points], places, side="right")]
    assert np.abs(told - shares(values, places)).max() <= (parts + 1) / POINTS


def test_a_value_that_is_half_of_all_rows_stays_in_its_place():
    values = np.concatenate([np.zeros(5_000), np.random.default_rng(0).random(5_000)])

    found = column(values)

    assert found.points[0] == (0.0, 5_000)


def test_distances_of_numbers_are_those_of_the_cumulative_shares():
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, 20_000), random.normal(0.5, 1, 20_000)

    places = np.sort(np.concatenate([one, other]))
    truth = np.abs(shares(one, places) - shares(other, places)).max()
    assert cumulative_distance(column(one), column(other)) == pytest.approx(truth, abs=2 / POINTS)
    assert cumulative_distance(column(one), column(one)) == 0


def test_distances_of_text_are_shares_of_rows():
    one, other = column(["a"] * 6 + ["b"] * 4), column(["a"] * 4 + ["b"] * 4 + ["c"] * 2)

    assert category_distance(one, other) == pytest.approx(0.2)
    assert category_distance(one, one) == 0
    assert category_distance(column(["a"]), column(["b"])) == 1


def test_values_that_are_too_many_to_be_kept_are_one_value():
    ids = [f"id{number}" for number in range(1_000)]
    one, other = column(ids), column([f"new{number}" for number in range(1_000)])

    assert len(one.top) == TOP
    assert one.others == 1_000 - TOP
    assert category_distance(one, other) == 0


def test_columns_that_only_one_summary_has_are_kept():
    one, other = summarise(pl.DataFrame({"x": [1]}), ["x"]), summarise(pl.DataFrame({"y": ["a"]}), ["y"])

    found = merged(one, other)

    assert [one.name for one in found.columns] == ["x", "y"]
    assert found.column("y") == other.column("y")
    assert found.column("z") is None


def test_a_summary_is_made_anew_of_what_is_left():
    before = summarise(pl.DataFrame({"word": ["a", "a", "b"], "late": [True, True, False]}), ["word", "late"])

    after = renewed(before, pl.LazyFrame({"word": ["b", "c"]}))

    assert after.column("word") == summarise(pl.DataFrame({"word": ["b", "c"]}), ["word"]).column("word")
    assert after.column("late") == before.column("late")
    assert renewed(Summary(), pl.LazyFrame({"word": ["b"]})) == Summary()
