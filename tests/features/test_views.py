from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from treadle.core.errors import InvalidDeclaration
from treadle.data.contracts import Contract
from treadle.features.aggregates import Count, Max, Sum
from treadle.features.views import FeatureView


def declared(**changes):
    given = {
        "source": "a source",
        "entity": "origin",
        "time": "observed_at",
        "arrived": "reported_at",
        "ttl": "3h",
        "fields": ["temp", "visib"],
    }
    return FeatureView("weather", **{**given, **changes})


def test_names_of_a_list_of_fields_are_those_of_the_source():
    view = declared()

    assert view.source_names == view.output_names == ("temp", "visib")
    assert view.entities == ("origin",)
    assert view.key == ("origin", "observed_at", "reported_at")
    assert view.max_age == timedelta(hours=3)


def test_a_mapping_gives_fields_new_names():
    view = declared(fields={"temp": "temperature"}, entity=["origin", "runway"], arrived=None, ttl=None)

    assert view.source_names == ("temp",)
    assert view.output_names == ("temperature",)
    assert view.key == ("origin", "runway", "observed_at")
    assert view.max_age is None


def test_one_column_may_be_joined_under_its_own_time():
    view = declared(fields={"observed_at": "weather_at", "temp": "temp"})

    assert view.output_names == ("weather_at", "temp")


def test_spec_holds_plain_values_only():
    assert declared(fields={"temp": "temperature"}).spec() == {
        "view": "weather",
        "entity": ["origin"],
        "time": "observed_at",
        "arrived": "reported_at",
        "ttl": "3h",
        "fields": [["temp", "temperature"]],
        "aggregates": {},
    }


def test_a_view_may_have_aggregates_beside_fields_or_alone():
    spent = {"spent_7d": Sum("amount", over="7d"), "seen_1h": Count(over="1h")}

    both, alone = declared(aggregates=spent), declared(aggregates=spent, fields=(), ttl=None, arrived=None)

    assert both.output_names == ("temp", "visib", "spent_7d", "seen_1h")
    assert both.columns == ("origin", "observed_at", "reported_at", "temp", "visib", "amount")
    assert alone.output_names == ("spent_7d", "seen_1h")
    assert alone.columns == ("origin", "observed_at", "amount")
    assert alone.spec()["aggregates"]["seen_1h"] == {"aggregate": "count", "column": "", "over": "1h"}


def test_a_view_reaches_back_as_far_as_its_longest_span():
    spent = {"spent_1h": Sum("amount", over="1h")}

    assert declared().reach == declared(aggregates=spent).reach == timedelta(hours=3)
    assert declared(ttl="1m", aggregates=spent).reach == timedelta(hours=1)
    assert declared(ttl=None, aggregates=spent).reach is None
    assert declared(ttl=None, fields=(), aggregates=spent).reach == timedelta(hours=1)


def test_events_of_one_moment_are_told_apart_by_a_column_of_their_own():
    assert declared(event="payment").key == ("origin", "observed_at", "reported_at", "payment")
    assert declared(event=["shop", "till"], arrived=None).key == ("origin", "observed_at", "shop", "till")


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"source": None}, "source", "expected a source"),
        ({"entity": []}, "entity", "expected a column's name"),
        ({"entity": ["origin", 3]}, "entity", "expected a column's name"),
        ({"entity": ["origin", "origin"]}, "entity", "each column once"),
        ({"time": ""}, "time", "the moment of a value"),
        ({"time": "origin"}, "time", "not part of the entity"),
        ({"arrived": "observed_at"}, "arrived", "Leave it out"),
        ({"arrived": "origin"}, "arrived", "not part of the entity"),
        ({"arrived": ""}, "arrived", "was known"),
        ({"ttl": "3 hours"}, "ttl", "expected a span such as '3h'"),
        ({"ttl": timedelta(hours=3)}, "ttl", "expected a span such as '3h'"),
        ({"fields": []}, "fields", "expected a list of columns"),
        ({"fields": "temp"}, "fields", r"as \['temp'\]"),
        ({"fields": ["temp", 1]}, "fields", "expected a list of columns"),
        ({"fields": ["temp", "temp"]}, "fields", "each column once"),
        ({"fields": {"temp": "a", "visib": "a"}}, "fields", "a different new name"),
        ({"fields": {"temp": "origin"}}, "fields", "the name of the entity 'origin'"),
        ({"aggregates": [Count(over="1h")]}, "aggregates", "expected names with what is made"),
        ({"aggregates": {"n": "count"}}, "aggregates", "expected names with what is made"),
        ({"aggregates": {"": Count(over="1h")}}, "aggregates", "names that are text"),
        ({"aggregates": {"temp": Count(over="1h")}}, "aggregates", "'temp' has the name of"),
        ({"aggregates": {"origin": Count(over="1h")}}, "aggregates", "'origin' has the name of"),
        ({"event": ""}, "event", "expected a column's name"),
        ({"event": ["origin"]}, "event", "other than entity, time and arrived"),
        ({"contract": 3}, "contract", "derives from td.Contract"),
    ],
)
def test_what_cannot_hold_is_refused_at_declaration(changes, field, text):
    with pytest.raises(InvalidDeclaration, match=f"'weather'.*{text}") as caught:
        declared(**changes)

    assert caught.value.field == field


@pytest.mark.parametrize("name", ["", "a b", "-a", 3])
def test_names_are_plain(name):
    with pytest.raises(InvalidDeclaration, match="letters, digits"):
        FeatureView(name, source="a source", entity="origin", time="observed_at", fields=["temp"])


def test_columns_must_be_in_the_contract():
    class Weather(Contract):
        """The weather of an hour."""

        origin: str
        observed_at: datetime
        reported_at: datetime
        temp: float

    assert declared(contract=Weather, fields=["temp"]).contract is Weather
    with pytest.raises(InvalidDeclaration, match="no column 'tmep'.*Did you mean 'temp'"):
        declared(contract=Weather, fields=["tmep"])
    with pytest.raises(InvalidDeclaration, match="no column 'tmep'.*Did you mean 'temp'"):
        declared(contract=Weather, fields=["temp"], aggregates={"hottest": Max("tmep", over="1d")})
    with pytest.raises(InvalidDeclaration, match="'all' is made of 'origin', which is str"):
        declared(contract=Weather, fields=["temp"], aggregates={"all": Sum("origin", over="1d")})


def test_declaring_a_view_loads_no_frame_library():
    code = "import sys, treadle.features.views; sys.exit('polars' in sys.modules or 'numpy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
