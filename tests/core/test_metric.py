"""Metrics of one's own: what may be declared."""

from __future__ import annotations

import math

import pytest

from treadle.core.errors import InvalidDeclaration
from treadle.core.metric import Metric


def cost(y, p):
    return abs(y - p)


def test_it_is_called_like_its_function_or_as_it_is_told():
    assert Metric(cost, greater_is_better=False).name == "cost"
    assert Metric(lambda y, p: y * p, greater_is_better=True, name="gain").name == "gain"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"function": "mae"}, "expected a function of two arguments"),
        ({"function": math.sqrt}, "expected a function of two arguments"),
        ({"function": lambda y, *, p: y}, "expected a function of two arguments"),
        ({"function": lambda y: y}, "expected a function of two arguments"),
        ({"function": lambda y, p: y}, r"name='<lambda>'.*name='cost'"),
        ({"name": "my cost"}, "name='my cost'"),
        ({"name": 3}, "name=3"),
        ({"greater_is_better": 1}, "greater_is_better=1.*True or False"),
        ({"greater_is_better": None}, "True or False"),
    ],
)
def test_what_cannot_hold_is_refused(arguments, text):
    with pytest.raises(InvalidDeclaration, match=text):
        Metric(**{"function": cost, "greater_is_better": False, **arguments})
