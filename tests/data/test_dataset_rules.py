from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

import treadle as td
from treadle.core.errors import InvalidDeclaration, NotFound, RuleBroken
from treadle.data.contracts import Contract
from treadle.data.dataset_rules import Facts, check_rules, judge, refused, remembered

NOW = datetime(2013, 1, 31, tzinfo=UTC)
FACTS = Facts(now=NOW)
ROWS = pl.DataFrame({"n": [1, None], "s": ["a", "b"]})


class Row(Contract):
    n: int | None
    s: str
    at: datetime


def test_every_rule_is_asked_and_those_that_stop_come_first():
    rules = [
        td.rules.Nulls("n", at_most=0.1, severity="warn"),
        td.rules.Rows(at_most=1),
        td.rules.Unique("s"),
    ]

    found = judge(rules, ROWS, FACTS)

    assert [(one.rule, one.severity, one.columns, one.text) for one in found] == [
        ("rows", "stop", (), "2 new rows came; expected at most 1"),
        ("nulls", "warn", ("n",), "n has no value in 1 of 2 new rows (50.00%); expected at most 10.00%"),
    ]


def test_only_rules_that_stop_refuse_the_rows():
    warning = judge([td.rules.Rows(at_least=3, severity="warn")], ROWS, FACTS)
    stopping = judge([td.rules.Rows(at_least=3)], ROWS, FACTS)

    assert refused("d", warning) is None
    error = refused("d", [*warning, *stopping])
    assert isinstance(error, RuleBroken)
    assert "Dataset 'd': the new rows as a whole break its rules, and nothing was taken in" in str(error)
    assert str(error).count("expected at least 3") == 1


def test_columns_to_be_remembered_are_those_that_must_be_stable():
    rules = [td.rules.Stable("n", within=0.1), td.rules.Rows(at_least=1), td.rules.Stable("s", within=0.1)]

    assert remembered(rules) == ("n", "s")


@pytest.mark.parametrize(
    ("rule", "time", "told"),
    [
        (lambda: td.rules.Nulls("m", at_most=0), "at", "rule 'nulls': 'm' is no column of 'Row'"),
        (
            lambda: td.rules.Stable("at", within=0.1),
            "at",
            "'at' is datetime. Expected bool or float or int or str",
        ),
        (lambda: td.rules.Fresh(within="1d", column="s"), "at", "'s' is str. Expected datetime"),
        (lambda: td.rules.Fresh(within="1d"), None, "needs the rows' time"),
        (lambda: "rows > 1", None, "'rows > 1' is no rule. Expected for example td.rules.Rows"),
    ],
)
def test_a_rule_that_the_contract_cannot_serve_is_refused(rule, time, told):
    with pytest.raises(InvalidDeclaration, match=told):
        check_rules([rule()], Row.spec(), time=time, where="Dataset 'd'")


def test_rules_that_fit_are_taken():
    rules = [td.rules.Fresh(within="1d"), td.rules.Unique("s", "at"), td.rules.Stable("n", within=0.1)]

    check_rules(rules, Row.spec(), time="at", where="Dataset 'd'")


def test_anything_that_can_judge_is_a_rule():
    class Sorted:
        name, severity, columns = "sorted", "warn", ("n",)

        def spec(self):
            return {"rule": "sorted"}

        def check(self, new, facts):
            return None if new["n"].is_sorted() else "n is not sorted"

    check_rules([Sorted()], Row.spec(), time=None, where="Dataset 'd'")

    assert [one.text for one in judge([Sorted()], pl.DataFrame({"n": [2, 1]}), FACTS)] == ["n is not sorted"]


def test_without_other_datasets_nothing_can_be_looked_up():
    with pytest.raises(NotFound, match="Nobody can look up airports.code here"):
        judge([td.rules.Refers("s", to="airports.code")], ROWS, FACTS)
