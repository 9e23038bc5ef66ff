from __future__ import annotations

from treadle.data.changes import compare
from treadle.data.contracts import Column, Contract


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
