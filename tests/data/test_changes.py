from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.data.changes import compare
from treadle.data.checks import check, failures
from treadle.data.contracts import Column, Contract, raw_frame
from treadle.data.types import DTYPES

at = partial(datetime, tzinfo=UTC)


def spec(**columns):
    annotations = {name: kind for name, (kind, _) in columns.items()}
    limits = {name: limit for name, (_, limit) in columns.items() if limit is not None}
    return type("C", (Contract,), {"__annotations__": annotations, **limits}).spec()


def test_no_change_is_no_difference():
    one = spec(x=(int, Column(ge=1)))

    assert compare(one, one).all == ()


def test_gone_retyped_and_new_obligatory_columns_break():
    changes = compare(spec(a=(int, None), b=(int, None)), spec(b=(float, None), c=(str, None)))

    assert changes.breaking == (
        "column 'a' (int) is gone; keep it declared, with `| None` if it no longer comes",
        "column 'b' was int and is now float",
        "column 'c' (str) is new and stored rows have no value for it; declare it with `| None`",
    )


def test_a_new_nullable_column_and_wider_limits_are_harmless():
    changes = compare(spec(a=(int, Column(ge=1))), spec(a=(int | None, None), b=(str | None, None)))

    assert changes.harmless == (
        "column 'a': was int and is now int | None",
        "column 'a': ge was 1 and is now not set",
        "column 'b' (str | None) is new",
    )
    assert not changes.breaking
    assert not changes.narrowing


def test_narrower_limits_have_to_be_looked_at():
    changes = compare(spec(a=(int | None, Column(le=9))), spec(a=(int, Column(le=5, ge=0))))

    assert changes.narrowing == (
        "column 'a': was int | None and is now int",
        "column 'a': ge was not set and is now 0",
        "column 'a': le was 9 and is now 5",
    )


def test_limits_that_exclude_less_are_harmless():
    old = spec(
        a=(int, Column(ge=5, le=9)),
        b=(str, Column(allowed=["x", "y"], min_length=1, max_length=3)),
        c=(datetime, Column(gt=at(2013, 1, 1), lt=at(2014, 1, 1))),
    )
    new = spec(
        a=(int, Column(ge=4, le=10)),
        b=(str, Column(allowed=["z", "y", "x"], min_length=0, max_length=4)),
        c=(datetime, Column(gt=at(2012, 12, 31, 23, 59, 59, 999999), lt=at(2014, 1, 2))),
    )

    forth, back = compare(old, new), compare(new, old)

    assert (len(forth.harmless), forth.narrowing, forth.breaking) == (7, (), ())
    assert (back.harmless, len(back.narrowing), back.breaking) == ((), 7, ())


def test_another_pattern_or_length_has_to_be_looked_at():
    changes = compare(
        spec(a=(str, Column(pattern="a+")), v=(list[float], Column(length=2))),
        spec(a=(str, Column(pattern="[ab]+")), v=(list[float], Column(length=3))),
    )

    assert changes.narrowing == (
        "column 'a': pattern was 'a+' and is now '[ab]+'",
        "column 'v': length was 2 and is now 3",
    )


VALUES = {
    "int": [-3, 0, 1, 2, 7],
    "float": [-1.5, 0.0, 0.5, 2.0],
    "str": ["", "a", "ab", "b", "é"],
    "bool": [True, False],
    "date": [date(2013, 1, 1), date(2013, 6, 1), date(2014, 1, 1)],
    "datetime": [at(2013, 1, 1), at(2013, 1, 1, 0, 0, 0, 5), at(2014, 1, 1)],
}
HINTS = {"int": int, "float": float, "str": str, "bool": bool, "date": date, "datetime": datetime}


def choices(kind):
    """By limit, what it can be for a kind."""
    one = st.sampled_from(VALUES[kind])
    found = {"allowed": st.lists(one, min_size=1, unique=True)}
    if kind != "bool":
        found |= dict.fromkeys(("ge", "gt", "le", "lt"), one)
    if kind == "str":
        found |= dict.fromkeys(("min_length", "max_length"), st.integers(0, 3))
        found["pattern"] = st.sampled_from(["[a-z]*", "a.*", "é|b"])
    return found


@st.composite
def limits(draw, kind, most=2):
    names = draw(st.lists(st.sampled_from(list(choices(kind))), max_size=most, unique=True))
    return {name: draw(choices(kind)[name]) for name in names}


@st.composite
def contracts(draw):
    """A contract of one to three columns, by name: kind, whether it is nullable, limits."""
    names = draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
    kinds = {name: draw(st.sampled_from(list(VALUES))) for name in names}
    return {name: (kind, draw(st.booleans()), draw(limits(kind))) for name, kind in kinds.items()}


@st.composite
def changed(draw, declared):
    """A contract in which one column, and perhaps more, is otherwise."""
    new = dict(declared)
    name = draw(st.sampled_from(list(declared)))
    kind, _, limit = declared[name]
    again = {key: draw(choices(kind)[key]) for key in limit if draw(st.booleans())}
    left = {key: value for key, value in limit.items() if key in again or draw(st.booleans())}
    more = draw(limits(kind, most=1)) if not draw(st.integers(0, 3)) else {}
    new[name] = (kind, draw(st.booleans()), left | again | more)
    if draw(st.booleans()):
        new["d"] = ("int", draw(st.booleans()), draw(limits("int")))
    return new if draw(st.integers(0, 9)) else draw(contracts())


def made(declared):
    hints = {
        name: HINTS[kind] | None if nullable else HINTS[kind]
        for name, (kind, nullable, _) in declared.items()
    }
    columns = {name: Column(**limit) for name, (*_, limit) in declared.items()}
    return type("C", (Contract,), {"__annotations__": hints, **columns}).spec()


def assert_harmless_is_harmless(first, second):
    """Rows that are good under the first contract break the second one only where that was told to be possible."""
    old, new = made(first), made(second)
    cells = {
        name: pl.Series(
            [([*VALUES[kind], None] * 36)[row // (stride + 1)] for row in range(36)], dtype=DTYPES[kind]
        )
        for stride, (name, (kind, *_)) in enumerate(first.items())
    }
    stored = check(raw_frame(pl.DataFrame(cells)), old, rules={}).good.select(old.names)

    changes = compare(old, new)

    if not changes.breaking:
        fresh = [pl.lit(None, dtype=kind).alias(n) for n, kind in new.dtypes.items() if n not in old.names]
        bad = check(raw_frame(stored.with_columns(fresh)), new, rules={}).bad
        assert changes.narrowing or bad.is_empty()
        assert bool(failures(stored.lazy(), new, rules={})) == (not bad.is_empty())


@settings(deadline=None, max_examples=60)
@given(st.data())
@pytest.mark.parametrize("kind", VALUES)
def test_a_limit_that_is_told_to_exclude_no_more_never_does(kind, data):
    limit = data.draw(st.sampled_from(list(choices(kind))))
    before, after = (data.draw(st.none() | choices(kind)[limit]) for _ in range(2))

    first, second = ({} if value is None else {limit: value} for value in (before, after))
    assert_harmless_is_harmless({"a": (kind, True, first)}, {"a": (kind, True, second)})


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_change_that_is_told_to_be_harmless_never_makes_a_stored_row_bad(data):
    first = data.draw(contracts())

    assert_harmless_is_harmless(first, data.draw(changed(first)))
