from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import polars as pl
import pytest

from treadle.core.errors import ContractBroken
from treadle.data.checks import check, failures
from treadle.data.contracts import Column, Contract, raw_frame, rule
from treadle.data.raw import Raw
from treadle.data.sources import _jsonl


class Flight(Contract):
    id: str = Column(min_length=2, max_length=4)
    at: datetime
    distance: int = Column(ge=1, lt=6000)
    speed: float | None = Column(gt=0, le=999)
    origin: str | None = Column(allowed=["EWR", "JFK"])
    dest: str | None = Column(pattern="[A-Z]{3}")

    @rule("it goes somewhere else")
    def elsewhere(self):
        return pl.col("origin") != pl.col("dest")


GOOD = {"id": "UA1", "at": "2013-01-01", "distance": "5", "speed": "1", "origin": "EWR", "dest": "LAX"}


def checked(*rows, needed=("id",), **changes):
    cells = [{**GOOD, **row} for row in (rows or [changes])]
    raw = Raw(file="f.csv", frame=pl.DataFrame(cells, schema=dict.fromkeys(GOOD, pl.String)), form="text")
    return check(raw, Flight.spec(), rules=Flight.rules(), needed=needed)


def test_good_rows_are_typed():
    found = checked(GOOD)

    assert found.bad.is_empty()
    assert found.good.schema["at"] == pl.Datetime("us", "UTC")
    assert found.good.select("id", "distance", "_file", "_row").rows() == [("UA1", 5, "f.csv", 1)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"distance": "far"}, "distance: 'far' is not an integer"),
        ({"distance": None}, "distance: has no value"),
        ({"distance": "0"}, "distance: 0 is below 1"),
        ({"distance": "6000"}, "distance: 6000 is not below 6000"),
        ({"speed": "0"}, "speed: 0.0 is not above 0.0"),
        ({"speed": "1000"}, "speed: 1000.0 is above 999.0"),
        ({"speed": "inf"}, "speed: 'inf' is not a finite number"),
        ({"origin": "LGA"}, "origin: 'LGA' is not one of EWR, JFK"),
        ({"dest": "LAXX"}, "dest: 'LAXX' does not match [A-Z]{3}"),
        ({"dest": "EWR"}, "rule elsewhere: it goes somewhere else"),
        ({"id": "U"}, "id: 'U' has fewer than 2 characters"),
        ({"id": "UA123"}, "id: 'UA123' has more than 4 characters"),
        ({"id": None}, "id: is the key or time, and has no value"),
    ],
)
def test_a_bad_cell_is_one_bad_row_with_its_reason(change, reason):
    found = checked(GOOD, change, GOOD)

    assert found.good["_row"].to_list() == [1, 3]
    assert found.bad.select("_reason", "_file", "_row").rows() == [(reason, "f.csv", 2)]


def test_a_row_has_all_its_reasons():
    found = checked(distance="far", speed="-1", origin="LGA")

    assert found.bad["_reason"].to_list() == [
        "distance: 'far' is not an integer; speed: -1.0 is not above 0.0; origin: 'LGA' is not one of EWR, JFK"
    ]


def test_a_bad_row_is_kept_as_it_landed():
    found = checked(distance="far")

    assert pl.Series(found.bad["_raw"]).str.json_decode(pl.Struct({"distance": pl.String, "id": pl.String}))[
        0
    ] == {
        "distance": "far",
        "id": "UA1",
    }


def test_a_rule_about_a_missing_value_counts_as_good():
    assert checked(origin=None).bad.is_empty()


def test_an_epoch_number_is_told_apart_from_other_bad_moments():
    reasons = checked({"at": "1357016400"}, {"at": "soon"}).bad["_reason"]

    assert "a number of seconds or milliseconds is not read as a moment" in reasons[0]
    assert reasons[1] == "at: 'soon' is not a moment in ISO 8601, as 2013-01-31T05:00:00Z"


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            ["id", "at"],
            "Missing column 'distance'. The file has: id, at; the contract 'Flight' expects: id, at, dist",
        ),
        ([*GOOD, "distence"], "Unknown column 'distence'. .*Did you mean 'distance'"),
    ],
)
def test_a_file_with_other_columns_is_refused_as_a_whole(columns, told):
    raw = Raw(file="f.csv", frame=pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), form="text")

    with pytest.raises(ContractBroken, match=told):
        check(raw, Flight.spec(), rules=Flight.rules())


def test_a_typed_file_is_told_its_type():
    class Plain(Contract):
        n: int

    found = check(Raw(file="f", frame=pl.DataFrame({"n": ["77"]}), form="typed"), Plain.spec(), rules={})

    assert found.bad["_reason"].to_list() == ["n: '77' is not an integer"]


def test_json_cells_of_several_types_are_judged_one_by_one():
    class Plain(Contract):
        n: int
        s: str | None

    frame = pl.DataFrame({"n": ["3", '"3"', "3.5", "true"], "s": ['"a"', None, "1", '"b\\"c"']})
    raw = Raw(file="f", frame=frame, form="json", mixed=frozenset({"n", "s"}))

    found = check(raw, Plain.spec(), rules={})

    assert found.good.select("n", "s").rows() == [(3, "a")]
    assert found.bad["_reason"].to_list() == [
        "n: '\"3\"' is not an integer",
        "n: '3.5' is not an integer; s: '1' is not text",
        "n: 'true' is not an integer",
    ]


def test_stored_rows_are_counted_against_a_narrower_contract():
    rows = pl.LazyFrame(
        {"distance": [1, 7000, 8000], "origin": ["EWR", "EWR", None], "dest": ["EWR", "LAX", "LAX"]}
    )

    assert failures(rows, Flight.spec(), rules=Flight.rules()) == [
        "column 'distance' is not below 6000 in 2 stored rows",
        "rule 'elsewhere' (it goes somewhere else) does not hold in 1 stored rows",
    ]


def test_rows_can_have_numbers_of_their_own():
    frame = pl.DataFrame([GOOD, {**GOOD, "distance": "0"}, GOOD], schema=dict.fromkeys(GOOD, pl.String))
    places = pl.DataFrame({"_file": ["f.csv"] * 3, "_row": [7, 8, 9]})
    raw = Raw(file="f.csv", frame=frame, form="text", broken={9: "has 1 cells"}, given_places=places)

    found = check(raw, Flight.spec(), rules=Flight.rules())

    assert found.good["_row"].to_list() == [7]
    assert found.bad.select("_row", "_reason").rows() == [
        (8, "distance: 0 is below 1"),
        (9, "the row: has 1 cells"),
    ]


def test_rows_that_are_none_are_told_in_their_place():
    frame = pl.DataFrame(
        [{**GOOD, "id": None}, GOOD, {**GOOD, "id": None}], schema=dict.fromkeys(GOOD, pl.String)
    )
    raw = Raw(file="f.csv", frame=frame, form="text", broken={2: "has 9 cells; expected 6"})

    found = check(raw, Flight.spec(), rules=Flight.rules())

    assert found.good.is_empty()
    assert found.bad.select("_row", "_reason").rows() == [
        (1, "id: has no value"),
        (2, "the row: has 9 cells; expected 6"),
        (3, "id: has no value"),
    ]


def test_typed_rows_that_are_good_are_not_copied():
    class Plain(Contract):
        n: int = Column(ge=0)
        x: float | None
        at: datetime

    frame = pl.DataFrame({"n": [1, 2], "x": [0.5, 1.0], "at": [datetime(2013, 1, 1, tzinfo=UTC)] * 2})

    found = check(raw_frame(frame), Plain.spec(), rules={}).good

    assert [place(found[name]) for name in frame.columns] == [place(frame[name]) for name in frame.columns]


def place(cells):
    """Where in memory the values are."""
    return cells.to_physical().to_numpy(allow_copy=False).__array_interface__["data"][0]


def test_nan_and_infinity_of_a_typed_file_are_told_apart():
    class Plain(Contract):
        x: float | None

    found = check(raw_frame(pl.DataFrame({"x": [float("nan"), float("inf"), 1.0]})), Plain.spec(), rules={})

    assert found.good["x"].to_list() == [None, 1.0]
    assert found.bad.select("_reason", "_raw").rows() == [
        ("x: inf is not a finite number (the file has the type Float64)", '{"x":"inf"}')
    ]


def test_bytes_that_are_no_text_do_not_stop_the_file():
    class Plain(Contract):
        s: str

    found = check(raw_frame(pl.DataFrame({"s": [b"\xff\xfe"]})), Plain.spec(), rules={})

    assert found.bad.select("_reason", "_raw").rows() == [
        ("s: 2 bytes is not text (the file has the type Binary)", '{"s":"//4="}')
    ]


def test_vectors_and_uuids_are_checked():
    class Document(Contract):
        id: UUID
        embedding: list[float] = Column(length=2)

    frame = pl.DataFrame(
        {"id": [UUID(int=1).hex, "x", UUID(int=2).hex], "embedding": [[1.0, 2.0], [1.0, 2.0], [1.0]]}
    )

    found = check(raw_frame(frame), Document.spec(), rules={})

    assert found.good.select("id", "embedding").rows() == [(str(UUID(int=1)), [1.0, 2.0])]
    assert found.good.schema["embedding"] == pl.List(pl.Float32)
    assert found.bad["_reason"].to_list() == [
        "id: 'x' is not a UUID, as 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "embedding: [1 values] is not of length 2",
    ]


def test_vectors_come_out_of_json_and_csv():
    class Document(Contract):
        embedding: list[float] = Column(length=2)

    lines = _jsonl.parse(
        "a.jsonl", b'{"embedding": [0.1, 2]}\n{"embedding": "[1, 2]"}\n{"embedding": [1, null]}'
    )
    cells = Raw(file="a.csv", frame=pl.DataFrame({"embedding": ["[0.1, 2]", "[1"]}), form="text")

    assert [check(raw, Document.spec(), rules={}).good["_row"].to_list() for raw in (lines, cells)] == [
        [1],
        [1],
    ]


def test_a_rule_that_cannot_be_computed_is_a_problem_of_the_file():
    class Plain(Contract):
        s: str

        @rule("it is a number")
        def is_number(self):
            return pl.col("s").cast(pl.Int64, strict=True) > 0

    with pytest.raises(
        ContractBroken, match="The rule 'is_number' of the contract 'Plain' cannot be computed"
    ):
        check(raw_frame(pl.DataFrame({"s": ["x"]})), Plain.spec(), rules=Plain.rules())


def test_a_rule_may_be_one_value_for_all_rows():
    class Plain(Contract):
        n: int

        @rule("never")
        def never(self):
            return pl.lit(value=False)

    found = check(raw_frame(pl.DataFrame({"n": [1, 2]})), Plain.spec(), rules=Plain.rules())

    assert found.bad["_reason"].to_list() == ["rule never: never"] * 2


def test_no_rows_are_no_problem():
    assert checked(GOOD).good.clear().schema == checked(GOOD).good.schema
    empty = Raw(file="f", frame=pl.DataFrame(schema=dict.fromkeys(GOOD, pl.String)), form="text")
    assert check(empty, Flight.spec(), rules=Flight.rules()).good.schema == checked(GOOD).good.schema
