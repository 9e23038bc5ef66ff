from __future__ import annotations

from datetime import timedelta

import pytest

from treadle.core.errors import InvalidDeclaration
from treadle.features import aggregates
from treadle.features.aggregates import Count, Distinct, Sum


def test_an_aggregate_says_what_it_needs_and_over_which_span():
    spent = Sum("amount", over="1d12h")

    assert spent.columns == ("amount",)
    assert spent.span == timedelta(hours=36)
    assert spent.spec() == {"aggregate": "sum", "column": "amount", "over": "1d12h"}


def test_only_a_count_may_go_without_a_column():
    assert Count(over="1h").columns == ()
    assert Count("amount", over="1h").columns == ("amount",)
    with pytest.raises(InvalidDeclaration, match="Sum: column is ''; expected a column's name"):
        Sum("", over="1h")


@pytest.mark.parametrize("over", ["", "3 hours", "0h", "999999999999w", timedelta(hours=1), None])
def test_a_window_is_a_span_longer_than_nothing(over):
    with pytest.raises(InvalidDeclaration, match="Distinct: over is .*; expected") as caught:
        Distinct("shop", over=over)

    assert caught.value.field == "over"


def test_equal_aggregates_are_equal():
    assert Sum("amount", over="1h") == Sum("amount", over="1h") != Sum("amount", over="2h")


@pytest.mark.parametrize("name", aggregates.__all__)
def test_every_aggregate_has_a_name_of_its_own(name):
    made = getattr(aggregates, name)("x", over="1h")

    assert made.spec()["aggregate"] == name.lower()
