from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import treadle as td
from treadle.core.errors import InvalidInput
from treadle.data.dataset_rules import Facts
from treadle.data.summaries import merged, summarise

NOW = datetime(2013, 1, 31, tzinfo=UTC)


def facts(**known):
    return Facts(now=NOW, **known)


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda rules: rules.Rows(), "Rows\\(at_least=None\\): expected a number of rows"),
        (lambda rules: rules.Rows(at_least=-1), "Rows\\(at_least=-1\\)"),
        (lambda rules: rules.Rows(at_least=5, at_most=4), "Rows\\(at_most=4\\).*not below at_least"),
        (
            lambda rules: rules.Rows(at_least=1, severity="loud"),
            "severity='loud'\\): expected 'stop' or 'skip' or 'warn'",
        ),
        (lambda rules: rules.Fresh(within="soon"), "soon"),
        (lambda rules: rules.Nulls("", at_most=0.1), "Nulls\\(column=''\\)"),
        (lambda rules: rules.Nulls("x", at_most=5), "Nulls\\(at_most=5\\): expected a share"),
        (lambda rules: rules.Nulls("x", at_most=True), "Nulls\\(at_most=True\\)"),
        (lambda rules: rules.Unique(), "Unique\\(columns=\\(\\)\\)"),
        (lambda rules: rules.Unique("a", "a"), "each once"),
        (lambda rules: rules.Refers("a", to="airports"), "a dataset and its column, as 'airports.code'"),
        (lambda rules: rules.Stable("a", within=1.5), "Stable\\(within=1.5\\)"),
        (lambda rules: rules.Stable("a", within=0.1, alpha=0), "Stable\\(alpha=0\\)"),
    ],
)
def test_a_rule_that_cannot_hold_is_refused(declare, told):
    with pytest.raises(InvalidInput, match=told):
        declare(td.rules)


def test_equal_rules_have_equal_declarations():
    one, other = td.rules.Unique("a", "b"), td.rules.Unique("a", "b")

    assert one == other
    assert one.spec() == other.spec() == {"rule": "unique", "columns": ["a", "b"], "severity": "stop"}


def test_freshness_counts_stored_rows_too():
    rule = td.rules.Fresh(within="2d")
    old = pl.DataFrame({"at": [NOW - timedelta(days=30)]})

    assert rule.check(old, facts(time="at", newest=NOW - timedelta(days=1))) is None
    assert rule.check(old.clear(), facts(time="at", newest=NOW - timedelta(hours=60))) == (
        "the newest at is 2013-01-28 12:00, 2d12h ago; expected at most 2d"
    )
    assert rule.check(old.clear(), facts(time="at")) == "no row has a at; expected one of the last 2d"


def test_freshness_can_be_that_of_another_column():
    rule = td.rules.Fresh(within="2d", column="landed")
    new = pl.DataFrame({"landed": pl.Series([None], dtype=pl.Datetime("us", "UTC"))})
    stored = pl.LazyFrame({"landed": [NOW - timedelta(days=1)]})

    assert rule.check(new, facts(time="at", stored=lambda columns: stored.select(columns))) is None


def test_uniqueness_counts_the_rows_too_many():
    rule = td.rules.Unique("plane", "day")
    new = pl.DataFrame({"plane": ["N1", "N1", "N1", "N2", None, None], "day": [1, 1, 1, 2, 3, 3]})
    stored = pl.LazyFrame({"plane": ["N2", "N3"], "day": [2, 2], "other": [0, 0]})

    assert rule.check(new.head(1), facts()) is None
    assert (
        rule.check(new, facts())
        == "2 of 6 new rows repeat the plane, day of another row, as plane='N1', day=1; expected none"
    )
    assert rule.check(new, facts(stored=lambda columns: stored.select(columns))) == (
        "3 of 6 new rows repeat the plane, day of another row, as plane='N2', day=2; expected none"
    )


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.none() | st.integers(0, 4), st.sampled_from("ab")), max_size=12),
    st.lists(st.tuples(st.none() | st.integers(0, 4), st.sampled_from("ab")), max_size=6),
)
def test_uniqueness_equals_counting_row_by_row(new, stored):
    schema = {"n": pl.Int64, "s": pl.String}
    seen, surplus = {row for row in stored if None not in row}, 0
    for row in new:
        if None not in row:
            surplus += row in seen
            seen.add(row)

    old = pl.LazyFrame(stored, schema=schema, orient="row")
    told = td.rules.Unique("n", "s").check(
        pl.DataFrame(new, schema=schema, orient="row"), facts(stored=lambda columns: old.select(columns))
    )

    assert told is None if surplus == 0 else told.startswith(f"{surplus} of {len(new)} new rows")


def test_references_name_what_is_nowhere():
    airports = facts(lookup=lambda dataset, column: pl.Series(["EWR", "EWR", None]))
    new = pl.DataFrame({"origin": ["EWR", "XXX", None, "YYY", "XXX"]})

    assert td.rules.Refers("origin", to="airports.code", at_most=0.6).check(new, airports) is None
    assert td.rules.Refers("origin", to="airports.code").check(new, airports) == (
        "origin of 3 of 5 new rows is not in airports.code ('XXX', 'YYY'); expected none"
    )


def test_a_reference_to_another_type_is_told():
    new = pl.DataFrame({"origin": ["1"]})

    told = td.rules.Refers("origin", to="airports.code").check(new, facts(lookup=lambda *_: pl.Series([1])))

    assert told == "origin is String and airports.code is Int64, so no value can be found there"


def test_a_reference_to_an_empty_dataset_finds_nothing():
    told = td.rules.Refers("n", to="a.b").check(
        pl.DataFrame({"n": [1]}), facts(lookup=lambda *_: pl.Series([], dtype=pl.Null))
    )

    assert told == "n of 1 of 1 new rows is not in a.b (1); expected none"


def stable(new, before, *, within=0.1, **more):
    previous = summarise(pl.DataFrame({"x": before}), ["x"])
    return td.rules.Stable("x", within=within, **more).check(
        pl.DataFrame({"x": new}), facts(previous=previous)
    )


def test_the_first_version_has_nothing_to_be_compared_with():
    assert td.rules.Stable("x", within=0.1).check(pl.DataFrame({"x": [1]}), facts()) is None
    assert stable([1], pl.Series([], dtype=pl.Int64)) is None


def test_numbers_that_moved_are_told_with_their_means():
    before = np.random.default_rng(0).normal(0, 1, 20_000)

    assert stable(before[:5_000], before) is None
    assert stable(before[:5_000] + 2, before) == (
        "the distribution of x is 68.4% away from that of the last version; expected at most 10.0% "
        f"(and 6.1% by chance). The mean was {before.mean():g} and is {before[:5_000].mean() + 2:g}"
    )


def test_a_new_word_is_told_with_its_share():
    told = stable(["a"] * 6_000 + ["c"] * 4_000, ["a"] * 10_000)

    assert told is not None
    assert told.endswith(". 'c' was 0.0% and is 40.0%")


def test_values_that_went_missing_are_told():
    told = stable([1, None] * 5_000, [1, 2] * 5_000)

    assert told is not None
    assert told.startswith(
        "x has no value in 50.0% of the new rows, and in 0.0% of the last version; expected a change of at most 10.0%"
    )


def test_a_few_rows_prove_nothing():
    assert stable([9.0] * 5, np.arange(10_000)) is None
    assert stable([9.0] * 500, np.arange(10_000)) is not None


@pytest.mark.parametrize("shape", ["normal", "words", "rare", "binary"])
def test_rows_of_the_same_kind_are_hardly_ever_refused(shape):
    random = np.random.default_rng(1)
    draw = {
        "normal": lambda n: random.normal(size=n),
        "words": lambda n: random.choice([f"w{i}" for i in range(60)], n),
        "rare": lambda n: np.where(random.random(n) < 0.98, "a", "b"),
        "binary": lambda n: random.random(n) < 0.5,
    }[shape]

    found = [
        stable(draw(size), draw(2_000), within=0.0, alpha=0.05)
        for size in (20, 200, 2_000)
        for _ in range(60)
    ]

    assert sum(one is not None for one in found) <= 0.05 * len(found)


def test_versions_are_compared_with_all_rows_before():
    parts = [pl.DataFrame({"x": np.random.default_rng(i).normal(size=400)}) for i in range(5)]
    previous = summarise(parts[0], ["x"])
    for part in parts[1:]:
        previous = merged(previous, summarise(part, ["x"]))

    rule = td.rules.Stable("x", within=0.05)

    assert previous.columns[0].rows == 2_000
    assert rule.check(parts[0], facts(previous=previous)) is None
    assert rule.check(parts[0] + 3, facts(previous=previous)) is not None
