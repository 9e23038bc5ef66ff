from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from treadle.data.profiles.associations import associations
from treadle.data.profiles.profile import profile
from treadle.data.profiles.records import Associations
from treadle.data.profiles.subject import Subject

ROWS = 3_000


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(4)


def found_in(frame: pl.DataFrame, **subject: object) -> Associations:
    found = profile(frame, Subject(**subject)).associations
    assert found is not None
    return found


def between(found: Associations, first: str, second: str) -> float | None:
    return found.strength[found.columns.index(first)][found.columns.index(second)]


def test_numbers_agree_with_scipy(random: np.random.Generator):
    x = random.normal(size=ROWS)
    frame = pl.DataFrame({"x": x, "y": np.exp(x + random.normal(size=ROWS)), "b": x > 0.5})

    found = found_in(frame)

    assert between(found, "x", "y") == pytest.approx(stats.spearmanr(frame["x"], frame["y"])[0], abs=1e-4)
    assert found.pearson[0][1] == pytest.approx(stats.pearsonr(frame["x"], frame["y"])[0], abs=1e-4)
    assert between(found, "b", "y") == pytest.approx(stats.spearmanr(frame["b"], frame["y"])[0], abs=1e-4)
    assert between(found, "y", "x") == between(found, "x", "y")


def test_a_pair_is_taken_on_the_rows_that_have_both(random: np.random.Generator):
    x, y = random.normal(size=ROWS), random.normal(size=ROWS)
    frame = pl.DataFrame({"x": x, "y": x + y}).with_columns(
        pl.when(pl.int_range(ROWS) % 3 > 0).then("y").alias("y")
    )

    found = found_in(frame)

    both = frame.drop_nulls()
    assert found.pearson[0][1] == pytest.approx(stats.pearsonr(both["x"], both["y"])[0], abs=1e-4)


def test_categories_agree_with_scipy_but_for_the_correction(random: np.random.Generator):
    first = random.choice(["a", "b", "c"], ROWS)
    second = np.where(random.random(ROWS) < 0.5, first, random.choice(["a", "b", "c"], ROWS))
    frame = pl.DataFrame({"first": first, "second": second})

    found = found_in(frame)

    table = np.array([[np.sum((first == a) & (second == b)) for b in "abc"] for a in "abc"])
    assert between(found, "first", "second") == pytest.approx(stats.contingency.association(table), abs=0.01)


def test_independent_columns_have_no_association_however_many_categories(random: np.random.Generator):
    many = [f"v{n}" for n in random.integers(0, 45, ROWS)]
    frame = pl.DataFrame(
        {"many": many, "other": random.choice([*"abcdefgh"], ROWS), "x": random.normal(size=ROWS)}
    )

    found = found_in(frame)

    # Without the correction both would be about 0.1.
    assert between(found, "many", "other") == pytest.approx(0, abs=0.05)
    assert between(found, "many", "x") == pytest.approx(0, abs=0.06)


def test_a_category_that_gives_the_number_has_a_ratio_of_one():
    frame = pl.DataFrame({"word": ["a", "b", "c"] * 100, "x": [1.0, 5.0, -2.0] * 100})

    found = found_in(frame)

    assert between(found, "word", "x") == 1.0
    assert between(found, "word", "word") == 1.0


def test_constants_keys_and_names_are_left_out(random: np.random.Generator):
    frame = pl.DataFrame(
        {
            "id": range(ROWS),
            "constant": [1] * ROWS,
            "empty": pl.Series([None] * ROWS, dtype=pl.Float64),
            "name": [f"n{n}" for n in range(ROWS)],
            "x": random.normal(size=ROWS),
            "y": random.normal(size=ROWS),
        }
    )

    assert found_in(frame, key=("id",)).columns == ("x", "y")


def test_the_outcome_is_kept_where_there_are_too_many_columns(random: np.random.Generator):
    frame = pl.DataFrame({f"c{n:02}": random.normal(size=100) for n in range(45)})

    found = found_in(frame, outcomes=("c44",))

    assert (len(found.columns), found.columns[-1]) == (40, "c44")
    assert found.left_out == ("c39", "c40", "c41", "c42", "c43")


def test_one_column_has_no_pair():
    assert associations(pl.DataFrame({"x": [1, 2]}), profile(pl.DataFrame({"x": [1, 2]})).columns) is None
