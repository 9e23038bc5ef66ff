from __future__ import annotations

import ast
import json
import sys
import types
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from treadle.core.errors import ContractBroken, InvalidInput
from treadle.data.checks import check
from treadle.data.contracts import Contract
from treadle.data.drafts import attribute, class_name, draft, literal
from treadle.data.raw import Raw
from treadle.data.sources import _jsonl
from treadle.data.sources.files import Files


def text(columns, file="a.csv"):
    return Raw(
        file=file,
        frame=pl.DataFrame(columns, schema_overrides=dict.fromkeys(columns, pl.String)),
        form="text",
    )


def run(source):
    """Run a drafted module and return its contract."""
    module = types.ModuleType("drafted")
    sys.modules["drafted"] = module
    try:
        exec(compile(source, "drafted", "exec"), vars(module))
    finally:
        del sys.modules["drafted"]
    (found,) = (one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Contract))
    return found


def assert_passes(*raws, name="flights"):
    """The draft runs, and all rows that it was made from are good."""
    contract = run(draft(raws, name=name, origin="somewhere"))
    for raw in raws:
        checked = check(raw, contract.spec(), rules=contract.rules())
        assert checked.bad["_row"].to_list() == sorted(raw.broken)
    return contract.spec()


def test_a_draft_is_ready_to_be_pasted():
    raw = text(
        {
            "flight_id": [f"UA{number:03}" for number in range(100)],
            "scheduled": ["2013-01-01T05:00:00Z", "2013-12-31T23:00:00Z"] * 50,
            "Origin Code": ["EWR", "JFK"] * 50,
            "distance": ["17", "4983"] * 50,
            "temp": ["-1.5", None, "30", "12.25"] * 25,
            "late": ["true", "false", "false", "false"] * 25,
            "nothing": [None] * 100,
        }
    )

    assert (
        draft([raw], name="flights", origin="landing/flights.csv", source="td.Files('landing/flights.csv')")
        == '''"""What flights must be, drafted from 100 rows of landing/flights.csv: change what is not meant."""

from __future__ import annotations

from datetime import datetime

import treadle as td

# Its source: td.Files('landing/flights.csv')


class Flights(td.Contract):
    """What every row must be; the comments say what was seen."""

    # 100 different, of length 5
    flight_id: str
    # 2013-01-01 05:00:00+00:00 to 2013-12-31 23:00:00+00:00
    scheduled: datetime
    # 2 different, of length 3
    # If there can be no others: td.Column(allowed=["EWR", "JFK"])
    origin_code: str = td.Column(name="Origin Code")
    # 17 to 4,983
    distance: int = td.Column(ge=0)
    # -1.5 to 30; 25 missing (25.00%)
    temp: float | None
    # 25.0% true
    late: bool
    # no values
    nothing: str | None
'''
    )


def test_a_draft_passes_on_nasty_csv(tmp_path: Path):
    path = tmp_path / "nasty.csv"
    path.write_text(
        "﻿Plan Type,class,spec,1st,é,int,td,NAME,name,x²,list\r\n"
        '"a; ""b""",1,02139,1e3,é,0,2013-01-01,,x,2013-01-01 05:00,"[1,2]"\r\n'
        "\r\n"
        '"c\nd",2,10001,2,,1,2013-01-02,y,,2013-01-02T00:00:00+02:00,"[3,4]"\r\n'
        "too,few\r\n",
        encoding="utf-8",
    )
    source = Files("nasty.csv")
    (file,) = source.listing(tmp_path)

    spec = assert_passes(source.parse(file, source.fetch(file)))

    assert [(column.name, column.annotation, column.length) for column in spec.columns] == [
        ("Plan Type", "str", None),
        ("class", "int", None),
        ("spec", "str", None),
        ("1st", "float", None),
        ("é", "str | None", None),
        ("int", "int", None),
        ("td", "date", None),
        ("NAME", "str | None", None),
        ("name", "str | None", None),
        ("x²", "datetime", None),
        ("list", "list[float]", 2),
    ]


def test_a_draft_passes_on_json_and_typed_rows():
    rows = [{"id": "a", "n": 1, "tags": [1, 2.5]}, {"id": "b", "n": 1.5, "tags": None, "more": True}]
    typed = pl.DataFrame(
        {"n": pl.Series([1, None], dtype=pl.UInt8), "x": [float("nan"), 1], "d": [date(2013, 1, 1)] * 2}
    )

    json_spec = assert_passes(_jsonl.parse("a.jsonl", "\n".join(map(json.dumps, rows)).encode()))
    typed_spec = assert_passes(Raw(file="a.parquet", frame=typed, form="typed"))

    assert [one.annotation for one in json_spec.columns] == [
        "str",
        "float",
        "list[float] | None",
        "bool | None",
    ]
    assert [one.annotation for one in typed_spec.columns] == ["int | None", "float | None", "date"]


def test_several_files_have_one_draft():
    spec = assert_passes(text({"n": ["1"], "s": ["1"]}), text({"n": ["1.5"], "s": [None]}, file="b.csv"))

    assert [one.annotation for one in spec.columns] == ["float", "int | None"]


def test_files_with_other_columns_are_told_apart():
    with pytest.raises(ContractBroken, match="b.csv: Unknown column 'm'"):
        draft([text({"n": ["1"]}), text({"m": ["1"]}, file="b.csv")], name="d", origin="o")


@pytest.mark.parametrize(
    ("name", "told"), [("", "Column 2 has no name"), ("_file", "as only Treadle's own do")]
)
def test_columns_that_no_dataset_can_have_are_refused(name, told):
    with pytest.raises(InvalidInput, match=told):
        draft([text({"a": ["1"], name: ["1"]})], name="d", origin="o")


@pytest.mark.parametrize(
    ("name", "python"),
    [
        ("distance", "distance"),
        ("Distance", "Distance"),
        ("class", "class_2"),
        ("spec", "spec_2"),
        ("datetime", "datetime_2"),
        ("2nd", "c_2nd"),
        ("…", "column"),
        ("ﬁeld", "field"),
        ("ø", "ø"),
        ("a\nb", "a_b"),
        ("__init__", "init"),
    ],
)
def test_every_column_gets_a_name_that_python_reads_back(name, python):
    assert attribute(name, set()) == python


def test_a_name_that_is_taken_is_counted_on():
    assert attribute("Plan Type", {"plan_type", "plan_type_2"}) == "plan_type_3"


@pytest.mark.parametrize(
    ("name", "found"),
    [("flights", "Flights"), ("2013", "C2013"), ("…", "Row"), ("None", "CNone"), ("é x", "EX")],
)
def test_classes_are_called_after_their_dataset(name, found):
    assert class_name(name) == found


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_literal_is_one_line_that_reads_back(value):
    written = literal(value)

    assert ast.literal_eval(written) == value
    assert written.isprintable()


HOSTILE = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    st.sampled_from(
        [
            '"""',
            "x\nimport os",
            "a: str = __import__('os').system('true')",
            "')\n    b: int = exec('1')",
            "\\",
            "\r",
            "\x0c",
            "\u2028",
            "\u202e",
            "#",
            "{x}",
            "int",
            "str",
            "td",
            "Column",
            "mro",
        ]
    ),
)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(HOSTILE, min_size=1, max_size=5, unique=True),
    st.lists(HOSTILE, min_size=1, max_size=3),
    HOSTILE,
    HOSTILE,
)
def test_hostile_names_and_values_are_literals_only(columns, values, name, origin):
    assume(all(one.strip() and not one.startswith("_") for one in columns))
    raw = text(dict.fromkeys(columns, values * 10))

    source = draft([raw], name=name, origin=origin)

    tree = ast.parse(source)
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert set(calls) <= {"td.Column"}
    assert set(imports) <= {
        "from __future__ import annotations",
        "from datetime import date",
        "from datetime import datetime",
        "from datetime import date, datetime",
        "import treadle as td",
    }
    assert {type(node).__name__ for node in tree.body} == {"Expr", "ImportFrom", "Import", "ClassDef"}
    assert run(source).spec().names == tuple(columns)
    assert_passes(raw, name=name)


def test_flights_have_a_draft_that_they_pass():
    rows = pl.DataFrame(
        {
            "flight_id": [f"2013-01-01-UA-{number}" for number in range(500)],
            "scheduled_departure": [datetime(2013, 1, 1, number % 24) for number in range(500)],  # noqa: DTZ001 - a moment without a zone is meant
            "carrier": ["UA", "AA", "B6", "DL", "EV"] * 100,
            "tailnum": ["N14228", None] * 250,
            "distance": [1400, 1416, 1089, 1576, 762] * 100,
        }
    )

    spec = assert_passes(Raw(file="f", frame=rows, form="typed"))

    assert [(one.name, one.annotation, one.ge) for one in spec.columns] == [
        ("flight_id", "str", None),
        ("scheduled_departure", "datetime", None),
        ("carrier", "str", None),
        ("tailnum", "str | None", None),
        ("distance", "int", 0),
    ]
