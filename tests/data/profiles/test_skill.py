from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from treadle.data.profiles.records import Skill
from treadle.data.profiles.skill import coded, folds, skill, target_of

ROWS = 4_000


def known_of(column: pl.Series, outcome: pl.Series) -> Skill:
    target = target_of(outcome)
    assert target is not None
    return skill("x", coded(column), target, folds(len(column)))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def test_a_column_that_decides_the_outcome_knows_nearly_all(random: np.random.Generator):
    column = pl.Series(random.normal(size=ROWS))

    found = known_of(column, column > 0.3)

    assert found.explained > 0.9
    assert found.auc == pytest.approx(1, abs=0.01)


def test_a_column_of_noise_knows_nothing(random: np.random.Generator):
    found = known_of(pl.Series(random.normal(size=ROWS)), pl.Series(random.random(ROWS) < 0.2))

    assert found.explained < 0.01
    assert found.auc == pytest.approx(0.5, abs=0.04)


def test_a_value_that_occurs_once_knows_nothing(random: np.random.Generator):
    outcome = pl.Series(random.random(ROWS) < 0.2)

    found = known_of(pl.Series([f"id{n}" for n in range(ROWS)]), outcome)

    assert found.explained == pytest.approx(0, abs=0.005)


def test_any_shape_is_seen(random: np.random.Generator):
    column = pl.Series(random.normal(size=ROWS))

    found = known_of(column, column.abs() > 1)

    assert found.auc == pytest.approx(1, abs=0.02)


def test_a_value_that_many_rows_have_is_a_bin_of_its_own(random: np.random.Generator):
    outcome = pl.Series(random.random(ROWS) < 0.3)
    fee = pl.select(pl.when(outcome).then(pl.Series(random.random(ROWS))).otherwise(0.0)).to_series()

    found = known_of(fee, outcome)

    assert found.explained > 0.9
    assert found.auc == pytest.approx(1, abs=0.001)


def test_a_missing_value_is_a_bin_of_its_own(random: np.random.Generator):
    outcome = pl.Series(random.random(ROWS) < 0.3)
    column = pl.select(pl.when(outcome).then(pl.lit(None)).otherwise(pl.Series(random.normal(size=ROWS))))

    found = known_of(column.to_series(), outcome)

    assert found.explained > 0.9


def test_classes_are_told_apart_each_against_the_rest(random: np.random.Generator):
    outcome = pl.Series(random.choice(["a", "b", "c"], ROWS))

    same, noise = known_of(outcome, outcome), known_of(pl.Series(random.normal(size=ROWS)), outcome)

    assert same.explained > 0.95
    assert same.auc == pytest.approx(1)
    assert noise.explained < 0.01


def test_a_number_is_predicted_by_its_ranks(random: np.random.Generator):
    column = pl.Series(random.normal(size=ROWS))

    wild, noise = known_of(column, column.exp() ** 9), known_of(pl.Series(random.normal(size=ROWS)), column)

    assert wild.auc is None
    assert wild.explained > 0.9
    assert noise.explained < 0.01


@pytest.mark.parametrize(
    "outcome",
    [pl.Series([True] * 5), pl.Series([f"v{n}" for n in range(30)]), pl.Series([[1], [2]])],
    ids=["constant", "many texts", "lists"],
)
def test_some_outcomes_cannot_be_predicted(outcome: pl.Series):
    assert target_of(outcome) is None


def test_the_area_is_that_of_pairs(random: np.random.Generator):
    outcome = pl.Series(random.random(400) < 0.5)
    column = pl.Series(random.integers(0, 4, 400)) + outcome.cast(pl.Int64)
    target = target_of(outcome)
    assert target is not None
    fold = folds(400)

    found = skill("x", coded(column), target, fold)

    areas = []
    for one in range(5):
        inside = [(column[int(i)], outcome[int(i)]) for i in np.flatnonzero(fold == one)]
        means = {
            value: np.mean([outcome[int(i)] for i in np.flatnonzero(fold != one) if column[int(i)] == value])
            for value in set(column)
        }
        pairs = [
            (means[a] > means[b]) + 0.5 * (means[a] == means[b])
            for a, late in inside
            if late
            for b, other in inside
            if not other
        ]
        areas.append(np.mean(pairs))
    assert found.auc == pytest.approx(np.mean(areas), abs=0.02)
