from __future__ import annotations

import math
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.features.on_demand import OnDemand, apply, on_demand

ROWS = pl.DataFrame({"id": ["a", "b", "c"], "amount": [10.0, None, 3.0], "spent": [40.0, 5.0, 0.0]})


def share(**changes):
    given = {
        "inputs": {"amount": float, "spent": float},
        "compute": {"share": pl.col("amount") / pl.col("spent"), "large": pl.col("amount") > 5},
    }
    return OnDemand("share", **{**given, **changes})


@on_demand(inputs={"at": datetime, "text": str}, outputs={"hour": int, "words": pl.List(pl.String)})
def parts(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(hour=pl.col("at").dt.hour().cast(pl.Int64), words=pl.col("text").str.split(" "))


def test_expressions_add_columns_to_each_row():
    added = share().apply(ROWS)

    assert added.drop("share", "large").equals(ROWS)
    assert added["share"].to_list() == [0.25, None, math.inf]
    assert added["large"].to_list() == [True, None, False]


def test_types_of_expressions_follow_from_the_inputs():
    assert share().output_types == {"share": pl.Float64(), "large": pl.Boolean()}
    assert share().output_names == ("share", "large")


def test_a_function_is_declared_once_and_called_with_the_inputs_only():
    rows = pl.DataFrame({"n": [1], "text": ["a b"], "at": [datetime(2013, 1, 1, 7, tzinfo=UTC)]})

    added = parts.apply(rows)

    assert parts.name == "parts"
    assert added.row(0) == (*rows.row(0), 7, ["a", "b"])


def test_a_literal_becomes_one_value_for_each_row():
    assert share(compute={"one": pl.lit(1)}).apply(ROWS)["one"].to_list() == [1, 1, 1]


@pytest.mark.parametrize("rows", [ROWS.clear(), ROWS[:1]])
def test_types_do_not_depend_on_the_rows(rows):
    assert share().apply(rows).schema == share().apply(ROWS).schema


def test_values_of_another_type_are_taken_where_nothing_is_lost():
    rows = pl.DataFrame({"amount": [1, None], "spent": pl.Series([None, None])})

    added = share().apply(rows)

    assert added.schema["amount"] == pl.Int64
    assert added["large"].to_list() == [False, None]
    assert added.schema["share"] == pl.Float64


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (float, ["1.5"]),
        (int, [1.5]),
        (pl.Int8, [300]),
        (str, [1]),
        (bool, [1]),
        (datetime, [1]),
        (pl.Float32, [0.1]),
        (pl.Enum(["a"]), ["b"]),
    ],
)
def test_values_that_would_change_are_refused(kind, values):
    feature = OnDemand("same", inputs={"x": kind}, compute={"y": pl.col("x")})

    with pytest.raises(InvalidInput, match="'same' input 'x' is .*; declared is .*cannot hold") as caught:
        feature.apply(pl.DataFrame({"x": values}))

    assert caught.value.field == "x"


@pytest.mark.parametrize(
    ("kind", "values"),
    [(float, [3]), (int, [3.0]), (int, pl.Series([3], dtype=pl.UInt8)), (pl.Enum(["a"]), ["a"])],
)
def test_values_that_would_not_change_are_taken(kind, values):
    feature = OnDemand("same", inputs={"x": kind}, compute={"y": pl.col("x")})

    added = feature.apply(pl.DataFrame({"x": values}))

    assert added["y"].to_list() == added["x"].to_list()
    assert added.schema["y"] == feature.output_types["y"]


def test_moments_are_read_in_utc():
    feature = OnDemand("hour", inputs={"at": datetime}, compute={"hour": pl.col("at").dt.hour()})
    local = pl.Series("at", [datetime(2013, 1, 1, 7, tzinfo=UTC)]).dt.convert_time_zone("America/New_York")

    assert feature.apply(local.to_frame())["hour"].to_list() == [7]
    assert feature.apply(local.dt.convert_time_zone("UTC").dt.replace_time_zone(None).to_frame())[
        "hour"
    ].to_list() == [7]


def test_a_missing_input_and_a_taken_name_are_named():
    with pytest.raises(InvalidInput, match="'share' needs a column 'spent'.*Did you mean 'spend'"):
        share().apply(ROWS.rename({"spent": "spend"}))
    with pytest.raises(InvalidInput, match="'share' would add 'large', and the rows have such a column"):
        share().apply(ROWS.with_columns(large=1))


def function(returned):
    return OnDemand("f", inputs={"amount": float}, outputs={"x": float}, compute=lambda rows: returned(rows))


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        (lambda rows: None, "returned NoneType; expected a pl.DataFrame"),
        (lambda rows: rows, "returned amount; declared are x"),
        (lambda rows: rows.select(x=pl.col("amount"), y=1), "returned x, y; declared are x"),
        (lambda rows: rows.select(x=pl.col("amount"))[:2], "returned 2 rows for 3; expected one for each"),
        (lambda rows: rows.select(x=pl.lit("a").repeat_by(1).over("amount")), "output 'x' is"),
    ],
)
def test_a_function_returns_what_was_declared(returned, problem):
    with pytest.raises(InvalidInput, match=f"On-demand feature 'f' {problem}"):
        function(returned).apply(ROWS)


@pytest.mark.parametrize(
    "made",
    [
        pl.col("amount") - pl.col("amount").mean(),
        pl.col("amount").rank(),
        pl.col("amount").shift(),
        pl.col("amount").fill_null(strategy="forward"),
        pl.int_range(pl.len()),
        pl.col("amount").cum_sum(),
    ],
)
def test_what_depends_on_other_rows_is_found_out(made):
    feature = share(compute={"x": made})

    with pytest.raises(InvalidInput, match="computed alone, and .* among 40 rows. Expected what depends on"):
        feature.verify(
            pl.DataFrame({"amount": [None if n == 20 else float(n) for n in range(40)], "spent": 1.0})
        )


def test_one_feature_may_read_what_another_one_added():
    twice = OnDemand("twice", inputs={"share": float}, compute={"twice": pl.col("share") * 2})

    assert apply([share(), twice], ROWS, verified=True)["twice"].to_list() == [0.5, None, math.inf]
    with pytest.raises(InvalidInput, match="'twice' needs a column 'share'"):
        apply([twice, share()], ROWS)


NUMBERS = st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6))
def test_row_by_row_equals_all_at_once(pairs):
    rows = pl.DataFrame(pairs, schema={"amount": pl.Float64, "spent": pl.Float64}, orient="row")

    together = share().apply(rows)
    one_by_one = pl.concat([share().apply(rows[n]) for n in range(rows.height)])

    assert_frame_equal(together, one_by_one, check_exact=True)
    share().verify(rows)


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"inputs": {}}, "inputs", "expected columns with their types"),
        ({"inputs": ["amount"]}, "inputs", "expected columns with their types"),
        ({"inputs": {"amount": "float"}}, "inputs", "'amount' is 'float'; expected one of str, int, float"),
        ({"outputs": {"amount": float}}, "outputs", "'amount' is an input"),
        ({"compute": {"x": 3}}, "compute", "expected a function, or names with Polars expressions"),
        ({"compute": {"x": pl.col("z")}}, "compute", 'cannot be computed from the inputs: .*"z"'),
        ({"compute": len}, "outputs", "expected the columns that the function returns"),
    ],
)
def test_what_cannot_hold_is_refused_at_declaration(changes, field, text):
    with pytest.raises(InvalidDeclaration, match=f"'share': {field}.*{text}") as caught:
        share(**changes)

    assert caught.value.field == field


def test_a_feature_has_a_name():
    with pytest.raises(InvalidDeclaration, match="name is ''; expected a name"):
        OnDemand("", inputs={"x": int}, compute={"y": pl.col("x")})


def test_spec_holds_plain_values_and_tells_expressions_apart():
    spec = share().spec()

    assert spec["inputs"] == {"amount": "Float64", "spent": "Float64"}
    assert spec["outputs"] == {"share": "Float64", "large": "Boolean"}
    assert spec != share(compute={"share": pl.col("spent") / pl.col("amount"), "large": pl.lit(True)}).spec()
    assert parts.spec()["compute"] == ""
