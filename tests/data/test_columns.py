from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration
from treadle.core.records import from_json, to_json
from treadle.data.columns import Column, ColumnSpec
from treadle.data.contracts import Contract, rule


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
        (int, Column(pattern="a"), "pattern= needs text; the column is int"),
        (str, Column(pattern="("), "is not a regular expression"),
        (date, Column(ge=datetime(2013, 1, 1)), "is not a date"),  # noqa: DTZ001 - a moment without a zone is meant
        (str, Column(allowed=[1]), "allowed: 1 is not text"),
        (int, Column(ge=2**63), "ge: 9223372036854775808 is not an integer"),
        (float, Column(le=float("inf")), "le: inf is not a finite number"),
        (float, Column(le=float("nan")), "le: nan is not a finite number"),
        (str, Column(pattern="(?x)a # comment"), "is not a regular expression"),
        (str, Column(pattern=5), "is not a regular expression"),
        (str, Column(length=5), r"length= needs list\[float\]; the column is str"),
        (str, Column(max_length=-1), "-1 is no length"),
        (list[float], Column(ge=1), "needs numbers, text or moments"),
        (list[float], Column(allowed=[1]), "needs single values"),
        (UUID, Column(pattern="a"), "needs text; the column is UUID"),
        (UUID, Column(allowed=["a"]), "'a' is not a UUID"),
        (list[int], None, "is not one that a column can have"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused(annotation, value, told):
    with pytest.raises(InvalidDeclaration, match=told):
        declare(annotation, value)


def test_every_type_of_a_column_is_declared_by_its_annotation():
    class Row(Contract):
        a: str
        b: int | None
        c: float
        d: bool
        e: datetime
        f: date
        g: UUID
        h: list[float] | None = Column(length=384)

    assert [column.annotation for column in Row.spec().columns] == [
        "str",
        "int | None",
        "float",
        "bool",
        "datetime",
        "date",
        "UUID",
        "list[float] | None",
    ]
    assert Row.spec().column("h").length == 384
    assert Row.spec().dtypes["h"] == pl.List(pl.Float32)


def test_bounds_are_kept_as_plain_values():
    class Row(Contract):
        at: datetime = Column(gt=datetime(2013, 1, 1, tzinfo=UTC))
        day: date = Column(le=date(2013, 1, 1))
        id: UUID = Column(allowed=[UUID(int=1)])
        x: float = Column(ge=1)

    assert [from_json(to_json(column), ColumnSpec) for column in Row.spec().columns] == list(
        Row.spec().columns
    )
    assert Row.spec().column("at").gt == "2013-01-01T00:00:00+00:00"
    assert Row.spec().column("day").le == "2013-01-01"
    assert Row.spec().column("id").allowed == ("00000000-0000-0000-0000-000000000001",)
    assert Row.spec().column("x").ge == 1.0


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
