"""Small frames to join: rows, and values of a view."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from treadle.features.views import FeatureView

START = datetime(2013, 1, 1, tzinfo=UTC)


MOMENT = pl.Datetime("us", "UTC")


def view(name="weather", **changes):
    given = {"entity": "origin", "time": "observed_at", "fields": ["temp"]}
    return FeatureView(name, source="a source", **{**given, **changes})


def at(minute):
    return None if minute is None else START + timedelta(minutes=minute)


def rows(*pairs):
    return pl.DataFrame(
        {"origin": [origin for origin, _ in pairs], "t": [at(minute) for _, minute in pairs]},
        schema={"origin": pl.String, "t": MOMENT},
    )


def values(*records):
    return pl.DataFrame(
        {
            "origin": [origin for origin, *_ in records],
            "observed_at": [at(observed) for _, observed, *_ in records],
            "reported_at": [at(reported) for _, _, reported, _ in records],
            "temp": [temp for *_, temp in records],
        },
        schema={"origin": pl.String, "observed_at": MOMENT, "reported_at": MOMENT, "temp": pl.Int64},
    )
