from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from treadle.data.profiles.changes import changes
from treadle.data.profiles.profile import profile
from treadle.data.profiles.records import Change
from treadle.data.profiles.subject import Subject


def changed(before: pl.DataFrame, after: pl.DataFrame, **subject: object) -> dict[str, Change]:
    columns = profile(pl.concat([before, after]), Subject(**subject)).columns
    return {one.column: one for one in changes(before, after, columns)}


def test_the_distance_is_that_of_jensen_and_shannon():
    before = pl.DataFrame({"word": ["a"] * 60 + ["b"] * 40})
    after = pl.DataFrame({"word": ["a"] * 30 + ["b"] * 60 + [None] * 10})

    found = changed(before, after)["word"]

    assert found.distance == pytest.approx(jensenshannon([0.6, 0.4, 0], [0.3, 0.6, 0.1], base=2))
    assert (found.missing_before, found.missing_after) == (0.0, 0.1)
    assert found.labels == ("b", "a", "all others", "no value")


def test_chance_exceeds_the_floor_as_seldom_as_promised():
    random = np.random.default_rng(8)
    tries = 40

    alarms = 0
    for _ in range(tries):
        before, after = (
            pl.DataFrame(
                {
                    **{f"x{n}": random.normal(size=rows) for n in range(10)},
                    "w": random.choice([*"abcdef"], rows),
                }
            )
            for rows in (1_500, 400)
        )
        alarms += any(one.verdict != "chance" for one in changed(before, after).values())

    # 1 % of the comparisons of eleven columns: more than four of forty has odds of one in a thousand.
    assert alarms <= 4


def test_the_floor_is_the_quantile_of_chi_squared():
    rows = pl.DataFrame({"word": [*"abcde"] * 200})

    found = changed(rows, rows)["word"]

    quantile = stats.chi2.ppf(0.99, df=4)
    assert found.floor == pytest.approx(np.sqrt(quantile * (2 / 1_000) / (8 * np.log(2))), rel=0.01)
    assert (found.distance, found.verdict) == (0.0, "chance")


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_values_that_begin_to_be_missing_are_a_change(share: float):
    random = np.random.default_rng(1)
    before = pl.DataFrame({"x": random.normal(size=20_000)})
    after = pl.DataFrame({"x": random.normal(size=1_000)}).with_columns(
        pl.when(pl.int_range(1_000) >= 1_000 * share).then("x").alias("x")
    )

    found = changed(before, after)["x"]

    assert found.verdict == "clear"
    assert found.missing_after == pytest.approx(share)


def test_a_new_value_is_named_even_where_it_is_rare():
    random = np.random.default_rng(1)
    before = pl.DataFrame({"word": random.choice(["a", "b"], 20_000)})
    after = pl.DataFrame({"word": ["new"] * 10 + ["a", "b"] * 495})

    found = changed(before, after)["word"]

    assert found.new_values == (("new", 0.01),)
    assert found.verdict == "slight"


def test_a_value_that_could_be_unseen_by_chance_is_not_named():
    before = pl.DataFrame({"word": ["a"] * 100})
    after = pl.DataFrame({"word": ["a"] * 99 + ["rare"]})

    assert changed(before, after)["word"].new_values == ()


def test_an_outcome_that_has_not_come_yet_is_no_change():
    before = pl.DataFrame({"y": [True, False] * 500})
    after = pl.DataFrame({"y": [True, False, None, None] * 100})

    assert changed(before, after, outcomes=("y",))["y"].verdict == "chance"


def test_keys_and_moments_are_not_compared():
    rows = pl.DataFrame({"id": range(100), "on": pl.Series(range(100)).cast(pl.Date), "x": range(100)})

    assert set(changed(rows, rows, key=("id",))) == {"x"}


def test_too_few_rows_are_not_compared():
    rows = pl.DataFrame({"x": range(100)})

    assert changed(rows, rows.head(20)) == {}


@pytest.mark.parametrize("value", [None, 3.0])
def test_a_constant_does_not_change(value: float | None):
    rows = pl.DataFrame({"x": [value] * 100}, schema={"x": pl.Float64})

    found = changed(rows, rows)["x"]

    assert (found.distance, found.verdict) == (0.0, "chance")
