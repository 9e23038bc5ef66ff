"""Rules that judge new rows as a whole, and rows that leave quarantine."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration, InvalidInput, NotFound, RuleBroken
from treadle.data.contracts import Column, Contract
from treadle.data.datasets import Dataset
from treadle.data.reasons import explain
from treadle.data.rules.refers import Refers
from treadle.data.rules.rows import Rows
from treadle.data.rules.stable import Stable
from treadle.data.rules.unique import Unique
from treadle.data.sources.files import Files
from treadle.data.splits import HashSplit

HEAD = "id,at,n,origin\n"


class Row(Contract):
    id: str
    at: datetime
    n: int = Column(ge=0)
    origin: str


def declared(**changes):
    arguments = {
        "source": Files("in/*.csv"),
        "contract": Row,
        "key": "id",
        "time": "at",
        "split": HashSplit(),
    }
    return Dataset("d", **{**arguments, **changes})


def line(name, n=1, origin="JFK"):
    return f"{name},2013-01-01T00:00:00Z,{n},{origin}\n"


def test_a_rule_that_stops_lets_nothing_in_and_is_told_until_it_holds(datasets, land):
    land("in/a.csv", HEAD + line("a"))
    strict = declared(rules=[Rows(at_least=2)])

    with pytest.raises(RuleBroken, match="nothing was taken in"):
        datasets.ingest(strict)

    assert len(datasets.problems("d")) == 1
    assert datasets.versions("d") == []
    land("in/b.csv", HEAD + line("b"))
    assert datasets.ingest(strict).rows == 2
    assert datasets.problems("d") == []


def test_a_rule_that_warns_is_told_with_the_version(datasets, land):
    land("in/a.csv", HEAD + line("a"))

    made = datasets.ingest(declared(rules=[Rows(at_least=2, severity="warn")]))

    assert made.rows == 1
    assert [text.partition(":")[0] for text in made.problems] == ["rule rows"]


def test_rows_may_have_to_refer_to_another_dataset(datasets, land):
    land("in/a.csv", HEAD + line("a", origin="XXX"))
    land("airports/a.csv", "code\nJFK\n")
    checked = declared(rules=[Refers("origin", to="airports.code")])

    with pytest.raises(NotFound, match="'airports', which has no version yet"):
        datasets.ingest(checked)
    datasets.ingest(Dataset("airports", source=Files("airports/*.csv"), key="code"))
    with pytest.raises(RuleBroken, match="'XXX'"):
        datasets.ingest(checked)

    land("in/a.csv", HEAD + line("a"))
    assert datasets.ingest(checked).rows == 1


def test_a_distribution_is_compared_with_that_of_the_last_version(datasets, land):
    steady = declared(rules=[Stable("n", within=0.3)])
    land("in/a.csv", HEAD + "".join(line(f"a{i}", n=i) for i in range(200)))
    datasets.ingest(steady)
    land("in/b.csv", HEAD + "".join(line(f"b{i}", n=i) for i in range(200)))
    datasets.ingest(steady)
    land("in/c.csv", HEAD + "".join(line(f"c{i}", n=i + 900) for i in range(200)))

    with pytest.raises(RuleBroken, match="n"):
        datasets.ingest(steady)

    assert datasets.version("d").rows == 400


def test_a_correction_does_not_count_as_a_repeat_of_its_older_form(datasets, land):
    unique = declared(rules=[Unique("origin")], updated="n")
    land("in/a.csv", HEAD + line("a", n=1, origin="JFK"))
    datasets.ingest(unique)
    land("in/b.csv", HEAD + line("a", n=2, origin="JFK"))

    made = datasets.ingest(unique)

    assert made.corrected == 1
    land("in/c.csv", HEAD + line("b", n=1, origin="JFK"))
    with pytest.raises(RuleBroken, match="origin"):
        datasets.ingest(unique)


def test_too_many_bad_rows_stop_the_ingestion(datasets, land):
    land("in/a.csv", HEAD + line("a") + line("b", n=-1) + line("c", n=-2))

    with pytest.raises(RuleBroken, match=r"2 of 3 rows \(66.7%\) are bad, and at most 50.0% may be"):
        datasets.ingest(declared(most_bad=0.5))

    assert datasets.versions("d") == []
    assert datasets.ingest(declared(most_bad=0.7)).quarantined == 2
    with pytest.raises(InvalidDeclaration, match="most_bad=7 is no share"):
        declared(most_bad=7)


def test_mended_rows_leave_quarantine_as_a_new_version(datasets, admission, land):
    land("in/a.csv", HEAD + line("a") + line("b", n=-1) + line("c", n=-2))
    datasets.ingest(declared())

    done = admission.readmit(declared(), where=pl.col("_row") == 2, mend={"n": "5"}, reason="typo")

    assert (done.version, done.asked, done.accepted, done.bad) == (2, 1, 1, 0)
    made = datasets.version("d")
    assert (made.landed, made.readmitted, made.rows, made.why) == (0, 1, 2, "readmitted: typo")
    assert datasets.read("d", columns=["id", "n", "_file", "_row"]).rows()[1] == ("b", 5, "in/a.csv", 2)
    assert datasets.quarantine("d")["_row"].to_list() == [3]
    assert datasets.read("d", version=1)["id"].to_list() == ["a"]


def test_rows_are_let_in_by_a_wider_contract_and_the_rest_stays(datasets, admission, land):
    class Wider(Row):
        n: int = Column(ge=-1)

    land("in/a.csv", HEAD + line("b", n=-1) + line("c", n=-2) + line("d"))
    datasets.ingest(declared())

    done = admission.readmit(declared(contract=Wider), reason="the rule was too strict")

    assert (done.accepted, done.bad) == (1, 1)
    assert done.reasons == ("n: -2 is below -1",)
    assert datasets.quarantine("d")["_raw"].str.contains('"c"').to_list() == [True]
    again = admission.readmit(declared(contract=Wider), reason="once more")
    assert (again.version, again.accepted, again.bad) == (None, 0, 1)


def test_a_row_that_contradicts_another_stays_and_one_that_repeats_it_goes(datasets, admission, land):
    land("in/a.csv", HEAD + line("a", n=1) + line("a", n=2))
    datasets.ingest(declared())

    same = admission.readmit(declared(), reason="?")
    mended = admission.readmit(declared(), mend=lambda rows: rows.with_columns(n=pl.lit(1)), reason="typo")

    assert (same.accepted, same.repeated, same.bad) == (0, 0, 1)
    assert (mended.accepted, mended.repeated, mended.bad) == (0, 1, 0)
    assert datasets.quarantine("d").is_empty()
    with pytest.raises(NotFound, match="No quarantined row"):
        admission.readmit(declared(), reason="nothing left")


def test_a_choice_that_cannot_be_computed_is_refused(datasets, admission, land):
    land("in/a.csv", HEAD + line("b", n=-1))
    datasets.ingest(declared())

    with pytest.raises(InvalidInput, match="cannot be chosen.*_reason"):
        admission.readmit(declared(), where=pl.col("nonsense") == 1, reason="?")

    assert datasets.quarantine("d").height == 1


def test_quarantine_is_explained(datasets, land):
    land("in/a.csv", HEAD + line("a") + line("b", n=-1) + line("c", n=-2))
    datasets.ingest(declared())

    [found] = explain(datasets.quarantine("d"))

    assert found.rows == 2
