"""Generated cases of joins: many small ones in one pair of frames, each with entities of its own.

Moments are few and close together, so that ties, late arrivals and edges of windows come up all the time, and lie round
the hours at which New York's clocks change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from treadle.features.views import FeatureView

BASES = {
    "clocks go forward": datetime(2013, 3, 10, 5, 30, tzinfo=UTC),
    "clocks go back": datetime(2013, 11, 3, 4, 30, tzinfo=UTC),
    "before 1970": datetime(1969, 12, 31, 22, tzinfo=UTC),
}
ZONES = [None, "UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata"]
ENTITIES = ["text", "category", "number", "far number", "narrow number", "day", "text and number"]
ORDERS = ["shuffled", "by time", "by entity"]
STEP = 30 * 60
#: Entities of each case; the last of them has no values, or no rows.
_POOL = 4


@dataclass(frozen=True)
class Batch:
    """Rows, values and the view that joins them."""

    spine: pl.DataFrame
    frame: pl.DataFrame
    view: FeatureView
    known_at: datetime | None


def batch(seed: int, *, cases: int = 200, **declared: object) -> Batch:
    """Make a batch of cases; `declared` goes into the view."""
    chance = np.random.default_rng(seed)
    kind = ENTITIES[seed % len(ENTITIES)]
    base = list(BASES.values())[seed % len(BASES)]
    arrived = "reported_at" if chance.random() < 0.6 else None
    entity = ["a", "b"] if kind == "text and number" else "a"
    view = FeatureView(
        "view",
        source="a source",
        entity=entity,
        time="observed_at",
        arrived=arrived,
        **{
            "ttl": [None, "0s", "30m", "1h", "100m"][chance.integers(5)],
            "fields": ["n", "observed_at", "reported_at"] if arrived else ["n", "observed_at"],
            **declared,
        },
    )
    known_at = base + timedelta(seconds=STEP * int(chance.integers(9))) if chance.random() < 0.3 else None
    return Batch(
        spine=_spine(chance, cases, kind, base),
        frame=_frame(chance, cases, kind, base, order=ORDERS[chance.integers(3)], view=view),
        view=view,
        known_at=known_at,
    )


def _spine(chance, cases, kind, base):
    owners = np.repeat(np.arange(cases), chance.integers(0, 7, cases))
    unit, zone = _clock(chance)
    return pl.DataFrame(
        {
            **_entities(chance, owners, kind, side="left"),
            "t": _moments(chance, chance.integers(0, 9, len(owners)), base, unit, zone),
        }
    ).sample(fraction=1, shuffle=True, seed=int(chance.integers(2**31)))


def _frame(chance, cases, kind, base, *, order, view):
    owners = np.repeat(
        np.arange(cases), np.where(chance.random(cases) < 0.1, 0, chance.integers(0, 24, cases))
    )
    steps, late = chance.integers(0, 9, len(owners)), chance.integers(-2, 5, len(owners))
    count = len(owners)
    frame = pl.DataFrame(
        {
            **_entities(chance, owners, kind, side="right"),
            "observed_at": _moments(chance, steps, base, *_clock(chance)),
            "reported_at": _moments(chance, steps + np.maximum(late, -1), base, *_clock(chance)),
            "n": np.arange(count),
            "amount": _holes(chance, pl.Series(np.round(chance.normal(size=count) * 100, 2))),
            "pieces": _holes(chance, pl.Series(chance.integers(-3, 4, count))),
            "shop": _holes(chance, pl.Series(chance.choice(["x", "y", "ü", "z"], count), dtype=pl.String)),
        }
    )
    if order == "shuffled":
        return frame.sample(fraction=1, shuffle=True, seed=int(chance.integers(2**31)))
    return frame.sort(*(view.entities if order == "by entity" else ()), "observed_at", maintain_order=True)


def _clock(chance):
    return ["ms", "us", "ns"][chance.integers(3)], ZONES[chance.integers(len(ZONES))]


def _moments(chance, steps, base, unit, zone):
    first = int(base.timestamp())
    whole = pl.Series((first + steps.astype(np.int64) * STEP) * 1000)
    moments = whole.cast(pl.Datetime("ms")).dt.cast_time_unit(unit)
    if unit == "ns":
        moments = moments + pl.Series(chance.integers(0, 2, len(steps))).cast(pl.Duration("ns"))
    if zone is not None:
        moments = moments.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    return _holes(chance, moments, share=0.05)


def _entities(chance, owners, kind, *, side):
    which = chance.integers(0, _POOL - 1, len(owners)) + (side == "right")
    numbers = pl.Series(owners * (_POOL + 1) + which)
    made = {
        "text": lambda: {"a": "e" + numbers.cast(pl.String)},
        "category": lambda: {
            "a": ("é" + numbers.cast(pl.String)).cast(pl.Categorical if side == "left" else pl.String)
        },
        "number": lambda: {"a": numbers - 50},
        "far number": lambda: {"a": numbers * 10**12 - 10**14},
        "narrow number": lambda: {"a": numbers.cast(pl.Int16 if side == "left" else pl.UInt64)},
        "day": lambda: {"a": numbers.cast(pl.Int32).cast(pl.Date)},
        "text and number": lambda: {"a": "e" + (numbers // 7).cast(pl.String), "b": numbers % 7},
    }[kind]()
    return {name: _holes(chance, column, share=0.05) for name, column in made.items()}


def _holes(chance, column, *, share=0.1):
    missing = pl.Series(chance.random(len(column)) < share, dtype=pl.Boolean)
    return pl.select(pl.when(~missing).then(column)).to_series()
