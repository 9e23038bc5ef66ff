"""What callers send of features that are otherwise read online."""

from __future__ import annotations

import json

import msgspec
import pytest

from treadle.core.errors import InvalidInput
from treadle.core.signature import Field, OnlineView, Signature
from treadle.serving.computing import reader_of


class Nobody:
    """Is asked for nothing, where every feature was sent."""

    patience = 0.0

    def __call__(self, views, entities, /):
        raise AssertionError(views, entities)

    def without(self, views, entities, error, /):
        raise AssertionError(views, entities, error)


SHOP = OnlineView(
    view="shop", entities=(Field(name="shop", kind="string"),), fields=("people", "name", "temp")
)
SIGNATURE = Signature(
    inputs=(
        Field(name="pages", kind="float"),
        Field(name="people", kind="integer"),
        Field(name="name", kind="string"),
        Field(name="temp", kind="float", nullable=True),
    ),
    outputs=(Field(name="probability", kind="float"),),
    views=(SHOP,),
)


@pytest.mark.parametrize("feature", ["people", "name"])
def test_a_null_is_refused_where_the_model_takes_none(feature):
    reader = reader_of(SIGNATURE, max_rows=10, online=Nobody())
    sent = {"shop": "a", "pages": 1.0, "people": 3, "name": "x", "temp": None}

    with pytest.raises(InvalidInput, match=f"{feature!r} is null") as refused:
        reader.objects([sent, sent | {feature: None}])

    assert refused.value.field == f"rows[1].{feature}"
    assert reader.objects([sent]).columns["people"].tolist() == [3]


@pytest.mark.parametrize("sent", [{}, {"people": 3}, {"people": 3, "name": "x", "temp": None}], ids=str)
@pytest.mark.parametrize("large", [2**63, -(2**70), 10**400])
def test_an_entity_that_no_log_can_hold_is_refused_also_where_nothing_is_read_for_it(sent, large):
    view = msgspec.structs.replace(SHOP, entities=(Field(name="shop", kind="integer"),))
    reader = reader_of(msgspec.structs.replace(SIGNATURE, views=(view,)), max_rows=10, online=Nobody())

    with pytest.raises(InvalidInput, match="64 bits") as refused:
        reader.rows(f"[{json.dumps({'pages': 1.0, 'shop': large, **sent})}]".encode())

    assert refused.value.field == "rows[0].shop"
