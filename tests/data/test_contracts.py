from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime

import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration
from treadle.data.contracts import Column, Contract, rule


class Flight(Contract):
    flight_id: str
    departure: datetime = Column(ge=datetime(2013, 1, 1))  # noqa: DTZ001 - a moment without a zone is meant
    distance: int = Column(ge=1, le=6000)
    tailnum: str | None
    origin: str = Column(allowed=["EWR", "JFK"], pattern="[A-Z]{3}")

    @rule("a flight goes somewhere")
    def goes_somewhere(self):
        return pl.col("distance") > 0


def test_annotations_become_columns_in_order():
    spec = Flight.spec()

    assert spec.names == ("flight_id", "departure", "distance", "tailnum", "origin")
    assert [column.nullable for column in spec.columns] == [False, False, False, True, False]
    assert spec.column("departure").ge == "2013-01-01T00:00:00+00:00"
    assert spec.column("origin").allowed == ("EWR", "JFK")
    assert spec.rules[0].text == "a flight goes somewhere"


def test_a_contract_inherits_columns_and_rules():
    class Charter(Flight):
        customer: str

    assert Charter.spec().names == (*Flight.spec().names, "customer")
    assert list(Charter.rules()) == ["goes_somewhere"]


def test_the_digest_changes_with_what_is_demanded_and_not_with_the_name():
    def contract(bound, name="A"):
        return type(name, (Contract,), {"__annotations__": {"x": int}, "x": Column(ge=bound)}).spec().digest

    assert contract(1) == contract(1, name="B")
    assert contract(1) != contract(2)


def test_the_digest_is_the_same_in_every_process():
    program = (
        "import polars as pl\n"
        "from treadle.data.contracts import Column, Contract, rule\n"
        "class A(Contract):\n"
        "    x: str = Column(allowed=['b', 'a'])\n"
        "    @rule('r')\n"
        "    def r(self): return pl.col('x').is_in(['a', 'b'])\n"
        "print(A.spec().digest)\n"
    )

    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1


def declare(annotation, value=None):
    members = {"__annotations__": {"x": annotation}} | ({} if value is None else {"x": value})
    return type("A", (Contract,), members)


@pytest.mark.parametrize(
    ("annotation", "value", "told"),
    [
        (list, None, "the type <class 'list'> is not one that a column can have"),
        (int | str, None, "is not one that a column can have"),
        (int, 5, "5 is not td.Column"),
        (int, Column(ge="1"), "ge: '1' is not an integer"),
        (int, Column(ge=True), "ge: True is not an integer"),
        (bool, Column(ge=1), "the column is bool"),
        (int, Column(pattern="a"), "pattern needs text; the column is int"),
        (str, Column(pattern="("), "is not a regular expression"),
        (date, Column(ge=datetime(2013, 1, 1)), "is not a date"),  # noqa: DTZ001 - a moment without a zone is meant
        (str, Column(allowed=[1]), "allowed: 1 is not text"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused(annotation, value, told):
    with pytest.raises(InvalidDeclaration, match=told):
        declare(annotation, value)


def test_a_contract_without_columns_is_refused():
    with pytest.raises(InvalidDeclaration, match="has no columns"):
        type("Empty", (Contract,), {})


def test_a_rule_that_reads_an_unknown_column_is_refused():
    with pytest.raises(InvalidDeclaration, match="reads the column 'y', which is not declared"):

        class A(Contract):
            x: int

            @rule("r")
            def r(self):
                return pl.col("y") > 0


def test_a_rule_that_returns_no_expression_is_refused():
    with pytest.raises(InvalidDeclaration, match="returned True"):

        class A(Contract):
            x: int

            @rule("r")
            def r(self):
                return True


def test_a_column_can_have_a_name_that_is_no_python_identifier():
    class Customer(Contract):
        plan: str | None = Column(name="Plan Type", allowed=["basic", "plus"])
        months: int

        @rule("a plan has months")
        def has_months(self):
            return pl.col("Plan Type").is_null() | (pl.col("months") > 0)

    spec = Customer.spec()

    assert spec.names == ("Plan Type", "months")
    assert (spec.columns[0].kind, spec.columns[0].nullable, spec.columns[0].allowed) == (
        "str",
        True,
        ("basic", "plus"),
    )


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InvalidDeclaration, match="two columns named 'months'"):

        class Customer(Contract):
            months: int
            more: int = Column(name="months")
