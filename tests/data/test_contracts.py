from __future__ import annotations

import subprocess
import sys
from datetime import datetime

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


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(InvalidDeclaration, match="two columns named 'months'"):

        class Customer(Contract):
            months: int
            more: int = Column(name="months")


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        (pl.col("x").max() > 0, "looks at more than one row"),
        (pl.col("x").is_duplicated(), "looks at more than one row"),
        ((pl.col("x") > 0).over("s"), "looks at more than one row.*td.rules.Unique"),
        (pl.col("x") + 1, "gives Int64 and not true or false"),
        (pl.col("s").str.len_chars(), "gives UInt32 and not true or false"),
        (pl.col("x").str.contains("a"), "cannot be computed from these columns"),
    ],
)
def test_a_rule_that_judges_no_single_row_is_refused(expression, told):
    with pytest.raises(InvalidDeclaration, match=told):

        class A(Contract):
            x: int
            s: str

            @rule("r")
            def r(self):
                return expression


def test_a_rule_can_be_a_python_function():
    class A(Contract):
        x: int

        @rule("x is odd")
        def odd(self):
            return pl.col("x").map_batches(lambda cells: cells % 2 == 1, return_dtype=pl.Boolean)

    assert A.spec().rules[0].text == "x is odd"


@pytest.mark.parametrize("name", ["spec", "rules"])
def test_a_column_cannot_hide_what_a_contract_can_do(name):
    with pytest.raises(InvalidDeclaration, match=f"no attribute can be called '{name}'. Declare {name}_"):
        type("A", (Contract,), {"__annotations__": {name: int}, name: Column(ge=1)})

    assert type("A", (Contract,), {"__annotations__": {name: int}}).spec().names == (name,)
