from __future__ import annotations

import polars as pl

from treadle.data.keys import tell_apart


def rows(*values, file="b.csv"):
    return pl.DataFrame(
        [(*row, file, i) for i, row in enumerate(values, start=1)],
        schema={"k": pl.String, "x": pl.Int64, "_file": pl.String, "_row": pl.Int64},
        orient="row",
    )


def told(new, stored=None, **options):
    return tell_apart(
        new,
        key=["k"],
        stored_keys=None if stored is None else stored.select("k"),
        stored_rows=lambda keys: stored.join(keys, on="k", how="semi"),
        **options,
    )


def test_rows_with_new_keys_are_fresh():
    found = told(rows(("a", 1), ("b", 2)), rows(("c", 3)))

    assert found.fresh["k"].to_list() == ["a", "b"]
    assert (found.repeated, found.clashing.height) == (0, 0)


def test_the_same_row_again_is_repeated_and_another_value_clashes():
    found = told(rows(("a", 1), ("b", 9), ("c", None)), rows(("a", 1), ("b", 2), ("c", 3), file="a.csv"))

    assert found.fresh.is_empty()
    assert found.repeated == 1
    assert found.clashing["_reason"].to_list() == [
        "key k=b is there already with other values (x: 2 → 9), from a.csv row 2",
        "key k=c is there already with other values (x: 3 → no value), from a.csv row 3",
    ]
    assert found.clashing["_row"].to_list() == [2, 3]


def test_within_one_commit_the_first_row_of_a_key_stays():
    found = told(rows(("a", 1), ("b", 2), ("a", 1), ("a", 7)))

    assert found.fresh.select("k", "x").rows() == [("a", 1), ("b", 2)]
    assert found.repeated == 1
    assert found.clashing["_row"].to_list() == [4]


def test_stored_rows_come_before_those_of_the_same_commit():
    found = told(rows(("a", 7), ("a", 1)), rows(("a", 1)))

    assert (found.fresh.height, found.repeated) == (0, 1)
    assert found.clashing["_row"].to_list() == [1]


def test_columns_that_are_passed_over_do_not_count():
    found = told(rows(("a", 2)), rows(("a", 1)), passed_over=["x"])

    assert found.repeated == 1


def test_stored_rows_are_only_read_for_keys_that_are_there():
    def never(keys):
        raise AssertionError

    found = tell_apart(rows(("a", 1)), key=["k"], stored_keys=rows(("b", 1)).select("k"), stored_rows=never)

    assert found.fresh.height == 1
