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
        stored=lambda keys: None if stored is None else stored.join(keys, on="k", how="semi"),
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


def later(*values, file="b.csv"):
    return rows(*values, file=file).rename({"x": "at"}).with_columns(x=pl.col("at") * 10)


def test_a_row_updated_later_replaces_the_stored_one():
    found = told(later(("a", 5), ("b", 1), ("c", 3)), later(("a", 4), ("b", 2), file="a.csv"), updated="at")

    assert found.fresh["k"].to_list() == ["c"]
    assert found.replacing.select("k", "at").rows() == [("a", 5)]
    assert found.replaced.select("k", "at", "_file").rows() == [("a", 4, "a.csv")]
    assert (found.outdated, found.repeated, found.clashing.height) == (1, 0, 0)


def test_of_several_forms_in_one_commit_the_last_one_counts():
    found = told(later(("a", 5), ("a", 7), ("a", 6), ("b", 2), ("b", 3)), later(("a", 4)), updated="at")

    assert found.replacing.select("k", "at").rows() == [("a", 7)]
    assert found.fresh.select("k", "at").rows() == [("b", 3)]
    assert found.outdated == 3


def test_two_forms_of_one_moment_are_the_same_or_clash():
    stored = later(("a", 4), ("b", 4))
    same, other = later(("a", 4)), later(("b", 4)).with_columns(x=pl.lit(0, pl.Int64))

    found = told(pl.concat([same, other]), stored, updated="at")

    assert (found.repeated, found.clashing.height, found.replacing.height) == (1, 1, 0)
    assert "x: 40 → 0" in found.clashing["_reason"][0]


def test_a_stored_row_from_before_the_column_was_declared_is_older_than_all():
    stored = rows(("a", 1))

    found = told(later(("a", -5)), stored, updated="at")

    assert found.replacing.height == 1


def test_vectors_that_differ_clash_and_are_told_by_their_length():
    def vectors(*values, file):
        cells = {"k": ["a"] * len(values), "x": pl.Series(values, dtype=pl.List(pl.Float32))}
        return pl.DataFrame(cells).with_columns(_file=pl.lit(file), _row=pl.int_range(pl.len()) + 1)

    found = told(vectors([1.0, 2.0], file="b.csv"), vectors([1.0], file="a.csv"))

    assert "x: [1 values] → [2 values]" in found.clashing["_reason"].item()
