from __future__ import annotations

import json
from datetime import datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.core.errors import InvalidInput
from treadle.data.checks import check
from treadle.data.contracts import Column, Contract, rule
from treadle.data.raw import Raw
from treadle.data.readmission import form_of, readmissions
from treadle.data.sources import _jsonl


class Flight(Contract):
    id: str
    n: int = Column(ge=1)
    x: float | None
    at: datetime | None
    late: bool | None
    vector: list[float] | None = Column(length=2)

    @rule("x is not n")
    def differs(self):
        return pl.col("x") != pl.col("n")


NAMES = Flight.spec().names


def checked(raw, contract=Flight):
    return check(raw, contract.spec(), rules=contract.rules(), needed=["id"])


def quarantine(raw, *, part="rows", version=1):
    marks = {"_part": pl.lit(part), "_version": pl.lit(version, dtype=pl.Int64)}
    return checked(raw).bad.with_columns(**marks)


def text(*rows, file="a.csv", broken=None):
    cells = [{"id": "a", "n": "5"} | row for row in rows]
    frame = pl.DataFrame(cells, schema=dict.fromkeys(NAMES, pl.String))
    return Raw(file=file, frame=frame, form="text", broken=broken or {})


def again(rows, contract=Flight, mend=None, form=form_of):
    found = readmissions(rows, specs={"rows": contract.spec()}, form=form, mend=mend)
    return [checked(one.raw, contract) for one in found]


def test_a_row_that_nobody_mended_is_as_bad_as_before():
    rows = quarantine(
        text({"n": "far"}, {}, {"id": None, "at": "1357016400", "x": "inf"}, {"n": "1", "x": "1"})
    )

    (found,) = again(rows)

    assert found.good.is_empty()
    assert found.bad.equals(rows.select(found.bad.columns))


def test_a_mended_row_keeps_its_file_and_its_number():
    rows = quarantine(text({}, {"n": "far"}, {"n": "0"}))

    (found,) = again(rows, mend={"n": pl.col("n").replace("far", "12")})

    assert found.good.select("id", "n", "_file", "_row").rows() == [("a", 12, "a.csv", 2)]
    assert found.bad.select("_reason", "_row").rows() == [("n: 0 is below 1", 3)]


def test_a_mend_can_be_a_plain_value_or_a_function():
    rows = quarantine(text({"n": "far"}))

    (plain,) = again(rows, mend={"n": 7})
    (function,) = again(rows, mend=lambda cells: cells.with_columns(n=cells["n"].str.len_chars()))

    assert plain.good["n"].to_list() == [7]
    assert function.good["n"].to_list() == [3]


def test_a_widened_contract_takes_rows_without_a_mend():
    class Wider(Flight):
        n: int | None
        remark: str | None

    (found,) = again(quarantine(text({"n": None}, {"n": "0"}, {"n": "far"})), contract=Wider)

    assert found.good.select("n", "remark", "_row").rows() == [(None, None, 1), (0, None, 2)]
    assert found.bad["_row"].to_list() == [3]


def test_rows_come_by_part_file_and_version():
    rows = pl.concat(
        [
            quarantine(text({"n": "x"}, file="b.csv")),
            quarantine(text({"n": "x"})),
            quarantine(text({"n": "y"}), version=2),
            quarantine(text({"n": "y"}), part="outcomes"),
        ]
    )

    found = readmissions(rows, specs={"rows": Flight.spec(), "outcomes": Flight.spec()})

    assert [(one.part, one.raw.file, one.version) for one in found] == [
        ("outcomes", "a.csv", 1),
        ("rows", "a.csv", 1),
        ("rows", "a.csv", 2),
        ("rows", "b.csv", 1),
    ]
    assert [one.raw.frame["n"].to_list() for one in found] == [["y"], ["x"], ["y"], ["x"]]


def test_a_row_that_was_none_stays_bad_until_it_is_mended():
    rows = quarantine(
        text(
            {"id": "one"}, {"id": "two"}, broken={1: "has 1 cells; expected 6", 2: "has 1 cells; expected 6"}
        )
    )

    (untouched,) = again(rows)
    (mended,) = again(rows, mend={"n": pl.when(pl.col("id") == "one").then(pl.lit("9")).otherwise("n")})

    assert untouched.bad.equals(rows.select(untouched.bad.columns))
    assert mended.good.select("id", "n", "_row").rows() == [("one", 9, 1)]
    assert mended.bad.select("_row", "_reason").rows() == [(2, "the row: has 1 cells; expected 6")]


def test_a_mend_that_only_casts_does_not_heal_a_row_that_was_none():
    rows = quarantine(text({}, broken={1: "has 1 cells; expected 6"}))

    (found,) = again(rows, mend={"n": pl.col("n").cast(pl.Int64)})

    assert found.good.is_empty()


@pytest.mark.parametrize(
    ("mend", "told"),
    [
        (
            {"n": pl.col("m")},
            "The mend of a.csv raised ColumnNotFoundError: .*The columns: id \\(String\\)",
        ),
        (lambda cells: cells.head(0), "returned 0 rows. Expected a frame of the same 1 rows"),
        (lambda cells: None, "returned None"),
        (lambda cells: 1 / 0, "raised ZeroDivisionError"),
    ],
)
def test_a_mend_that_does_something_else_is_refused(mend, told):
    with pytest.raises(InvalidInput, match=told):
        again(quarantine(text({"n": "x"})), mend=mend)


def test_where_the_source_is_unknown_the_cells_say_how_they_are_written():
    textual = again(
        quarantine(text({"n": "0"})),
        contract=type("W", (Flight,), {"__annotations__": {"n": int}}),
        form=lambda _: None,
    )
    typed = again(quarantine(lines({"id": "a", "n": 0, "x": "1"})), form=lambda _: None)

    assert textual[0].good["n"].to_list() == [0]
    assert typed[0].bad["_reason"].to_list() == ["x: '1' is not a finite number; n: 0 is below 1"]


def lines(*rows):
    return _jsonl.parse("a.jsonl", "\n".join(map(json.dumps, rows)).encode())


@pytest.mark.parametrize(
    ("file", "form"),
    [
        ("a/b.CSV", "text"),
        ("a.tsv.zip", "text"),
        ("a.jsonl.gz", "json"),
        ("a.parquet", "json"),
        ("table flights", None),
    ],
)
def test_the_ending_of_a_file_says_how_its_cells_are_written(file, form):
    assert form_of(file) == form


CELLS = st.none() | st.sampled_from(
    ["", "a", "7", "1e400", "true", "2013-01-01", "[1,2]", "[1]", '"q"', "é;  \n", "inf"]
)
JSON = CELLS | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(NAMES, CELLS)), min_size=1, max_size=5))
def test_text_cells_come_back_as_they_landed(rows):
    frame = pl.DataFrame(rows, schema=dict.fromkeys(NAMES, pl.String))
    raw = Raw(file="a.csv", frame=frame, form="text")

    assert_same(quarantine(raw))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries(dict.fromkeys(NAMES, JSON | st.lists(JSON, max_size=3))), min_size=1, max_size=5
    )
)
def test_json_cells_come_back_as_they_landed(rows):
    assert_same(quarantine(lines(*rows)))


TYPED = {
    "id": pl.Series(["a", None, "b", "c"]),
    "n": pl.Series([0, 5, 2**40, -1], dtype=pl.Int32, strict=False),
    "x": pl.Series([0.1, float("inf"), 5.0, float("nan")], dtype=pl.Float32),
    "late": pl.Series([True, None, False, True]),
    "vector": pl.Series([[0.1, 0.2], [1.0], None, [float("inf"), 1.0]], dtype=pl.List(pl.Float32)),
}


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(4)), st.sampled_from([pl.Int32, pl.Float64, pl.UInt8]))
def test_typed_cells_come_back_as_they_landed(order, kind):
    frame = pl.DataFrame(TYPED)[list(order)].with_columns(
        pl.col("n").cast(kind, strict=False), at=pl.lit(None)
    )
    raw = Raw(file="a.parquet", frame=frame, form="typed")

    assert_same(quarantine(raw))


def assert_same(rows):
    """No row is good that was bad before; and what is wrong with it is still what was wrong with it."""
    found = again(rows)
    bad = pl.concat([pl.DataFrame(schema=checked(text()).bad.schema), *(one.bad for one in found)])

    assert [one.good.height for one in found] == [0] * len(found)
    assert bad["_row"].to_list() == rows["_row"].to_list()
    assert bad["_raw"].to_list() == rows["_raw"].to_list()
    for before, after in zip(rows["_reason"], bad["_reason"], strict=True):
        assert [part.split(":")[0] for part in before.split("; ")] == [
            part.split(":")[0] for part in after.split("; ")
        ]
