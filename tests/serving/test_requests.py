from __future__ import annotations

import msgspec
import pytest
from serving_wiring import SIGNATURE

from treadle.core.errors import InvalidInput, TooLarge
from treadle.core.signature import Field, Signature
from treadle.serving.requests import Reader, envelope

GOOD = {"distance": 1400, "temp": 3.5, "carrier": "UA"}


@pytest.fixture
def reader():
    return Reader(SIGNATURE, max_rows=5)


def encoded(*rows):
    return msgspec.json.encode(list(rows))


def test_rows_become_arrays(reader):
    batch = reader.rows(encoded(GOOD, {**GOOD, "temp": None}))

    assert batch.rows == 2
    assert {name: array.dtype.kind for name, array in batch.columns.items()} == {
        "distance": "i",
        "temp": "f",
        "carrier": "O",
    }
    assert list(batch.values["temp"]) == [3.5, None]


def test_rows_columns_and_objects_are_read_alike(reader):
    rows = [GOOD, {**GOOD, "distance": 7}]
    columns = msgspec.json.encode({name: [row[name] for row in rows] for name in GOOD})

    batches = [reader.rows(encoded(*rows)), reader.table(columns), reader.objects(rows)]

    seen = [{name: array.tolist() for name, array in batch.columns.items()} for batch in batches]
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(
    ("row", "field", "said"),
    [
        ({**GOOD, "distance": "far"}, "rows[1].distance", "is 'far'. Expected an integer."),
        ({**GOOD, "distance": 1.5}, "rows[1].distance", "is 1.5. Expected an integer."),
        ({**GOOD, "distance": True}, "rows[1].distance", "is true. Expected an integer."),
        ({**GOOD, "distance": None}, "rows[1].distance", "is null. Expected an integer."),
        ({**GOOD, "distance": [1]}, "rows[1].distance", "is an array of 1. Expected an integer."),
        ({**GOOD, "temp": "3"}, "rows[1].temp", "is '3'. Expected a number or null."),
        ({**GOOD, "carrier": 7}, "rows[1].carrier", "is 7. Expected a string."),
        ({"distance": 1, "temp": None}, "rows[1].carrier", "is missing. Expected a string."),
        ({**GOOD, "distence": 1}, "rows[1].distence", "Did you mean 'distance'?"),
        (5, "rows[1]", "rows[1] is 5. Expected an object with distance, temp, carrier."),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_name(reader, row, field, said):
    with pytest.raises(InvalidInput) as refusal:
        reader.rows(encoded(GOOD, row))

    assert refusal.value.field == field
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"distance": [1, "x"], "temp": [1, 2], "carrier": ["", ""]}, "columns.distance[1]"),
        ({"distance": 5, "temp": [1, 2], "carrier": ["", ""]}, "columns.distance"),
        ({"distance": [1, 2], "temp": [1], "carrier": ["", ""]}, "temp"),
        ({"distance": [1, 2], "temp": [1, 2]}, "columns.carrier"),
        ({"distance": [], "temp": [], "carrier": []}, "columns"),
    ],
)
def test_columns_that_do_not_fit_are_refused_by_name(reader, columns, field):
    with pytest.raises(InvalidInput) as refusal:
        reader.table(msgspec.json.encode(columns))

    assert refusal.value.field == field


def test_a_number_out_of_any_range_is_refused_by_name(reader):
    text = encoded(GOOD).replace(b"3.5", b"1e999")

    with pytest.raises(InvalidInput) as refusal:
        reader.rows(text)

    assert refusal.value.field == "rows[0].temp"


def test_no_rows_are_refused(reader):
    with pytest.raises(InvalidInput, match="no rows"):
        reader.rows(b"[]")


def test_too_many_rows_are_refused(reader):
    with pytest.raises(TooLarge, match=r"6 rows.*serving\.max_rows"):
        reader.rows(encoded(*[GOOD] * 6))


def test_moments_and_dates_are_text():
    reader = Reader(
        Signature(inputs=(Field(name="at", kind="timestamp"), Field(name="day (local)", kind="date"))),
        max_rows=5,
    )

    batch = reader.rows(encoded({"at": "2013-01-01T05:15:00-05:00", "day (local)": "2013-01-01"}))

    assert batch.columns["at"].tolist() == [1357035300000000]
    assert batch.columns["day (local)"].tolist() == [15706]


def test_a_moment_that_is_none_is_refused_with_what_came():
    reader = Reader(Signature(inputs=(Field(name="at", kind="timestamp"),)), max_rows=5)

    with pytest.raises(InvalidInput, match="is 'noon'.*ISO 8601"):
        reader.rows(encoded({"at": "noon"}))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "Expected 'object', got 'array'"),
        (b"{}", "missing required field 'rows'"),
        (b'{"rows": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_body_that_is_not_the_expected_object_is_refused(body, said):
    decoder = msgspec.json.Decoder(msgspec.defstruct("Body", [("rows", msgspec.Raw)]))

    with pytest.raises(InvalidInput, match=said):
        envelope(decoder, body)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_literals_that_json_does_not_have_are_named(literal):
    decoder = msgspec.json.Decoder(msgspec.defstruct("Body", [("rows", msgspec.Raw)]))
    body = b'{"rows": [{"temp": 1}, {"temp": ' + literal.encode() + b"}]}"

    with pytest.raises(InvalidInput, match=f"^{literal} came") as refusal:
        envelope(decoder, body)

    assert refusal.value.field == "rows[1].temp"
