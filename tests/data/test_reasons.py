from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.core.errors import InvalidInput
from treadle.data.checks import check
from treadle.data.contracts import Column, Contract, rule
from treadle.data.raw import Raw
from treadle.data.reasons import explain, too_many


class Flight(Contract):
    id: str
    distance: int = Column(ge=1)
    origin: str | None = Column(allowed=["EWR", "JFK"], pattern="[A-Z; ]+")
    dest: str | None

    @rule("it goes somewhere else; not home")
    def elsewhere(self):
        return pl.col("origin") != pl.col("dest")


GOOD = {"id": "1", "distance": "5", "origin": "EWR", "dest": "LAX"}


def quarantine(*rows, file="a.csv", broken=None):
    frame = pl.DataFrame([{**GOOD, **row} for row in rows], schema=dict.fromkeys(GOOD, pl.String))
    raw = Raw(file=file, frame=frame, form="text", broken=broken or {})
    return check(raw, Flight.spec(), rules=Flight.rules(), needed=["id"]).bad


def counts(rows, by="reason"):
    return {one.what: one.rows for one in explain(rows, by=by)}


def test_reasons_are_counted_by_what_is_broken_and_not_by_cell():
    rows = quarantine(
        {"distance": "0"},
        {"distance": "-7"},
        {"distance": "far", "dest": "EWR"},
        {"id": None},
        {"origin": "LGA"},
    )

    assert counts(rows) == {
        "distance: … is below 1": 2,
        "distance: … is not an integer": 1,
        "id: is the key or time, and has no value": 1,
        "origin: … is not one of EWR, JFK": 1,
        "rule elsewhere: it goes somewhere else; not home": 1,
    }


def test_an_explanation_has_share_files_and_examples():
    rows = pl.concat(
        [quarantine({"distance": "0"}, {}, {"distance": "-7"}), quarantine({"distance": "x"}, file="b.csv")]
    )

    first, second = explain(rows)

    assert (first.rows, first.files, first.examples) == (
        2,
        1,
        ("a.csv row 1: distance: 0 is below 1", "a.csv row 3: distance: -7 is below 1"),
    )
    assert first.share == pytest.approx(2 / 3)
    assert second.examples == ("b.csv row 1: distance: 'x' is not an integer",)


def test_rows_that_are_none_and_keys_that_clash_are_kinds_of_their_own():
    rows = quarantine(
        {},
        {},
        broken={
            1: "has 3 cells; expected 4: a; b: has no value",
            2: "has 5 cells; expected 4: a; b: has no value",
        },
    )
    told = "key id=x; y: is below 1 is there already with other values (n: 1 → 2), from a.csv row 9"
    clash = pl.DataFrame({"_reason": [told], "_file": ["a"], "_row": [1], "_raw": ["{}"]})

    assert counts(pl.concat([rows, clash])) == {
        "the row: has … cells; expected …: a; b: has no value": 2,
        "key is there already with other values": 1,
    }


def test_rows_can_be_grouped_otherwise():
    rows = quarantine({"distance": "0", "dest": "EWR"}, {"distance": "x"}, broken=None).with_columns(
        _version=3
    )

    assert counts(rows, by="column") == {"distance": 2, "rule elsewhere": 1}
    assert counts(rows, by="file") == {"a.csv": 2}
    assert counts(rows, by="version") == {"version 3": 2}


def test_an_unknown_grouping_is_refused():
    with pytest.raises(InvalidInput, match="Did you mean 'reason'"):
        explain(quarantine({"distance": "0"}), by="reasons")


def test_nothing_is_explained_where_nothing_is_bad():
    assert explain(quarantine({})) == ()


@settings(deadline=None)
@given(st.text(max_size=120))
def test_no_cell_can_pretend_to_be_a_reason(text):
    rows = quarantine({"distance": f"{text}; id: has no value; {text}"})

    assert counts(rows) == {"distance: … is not an integer": 1}


def test_few_bad_rows_are_not_too_many():
    assert too_many(quarantine({"distance": "0"}), landed=20, limit=0.05) is None
    assert too_many(quarantine(), landed=0, limit=0.0) is None


def test_too_many_bad_rows_are_told_with_their_commonest_reasons():
    told = too_many(quarantine({"distance": "0"}, {"distance": "-1"}, {"dest": "EWR"}), landed=30, limit=0.05)

    assert told == (
        "3 of 30 rows (10.0%) are bad, and at most 5.0% may be (most_bad=0.05):\n"
        "  - 2 rows: distance: … is below 1 (as a.csv row 1: distance: 0 is below 1)\n"
        "  - 1 row: rule elsewhere: it goes somewhere else; not home (as a.csv row 3: rule elsewhere: it goes somewhere else; not home)"
    )
