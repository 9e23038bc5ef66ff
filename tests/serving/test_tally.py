from __future__ import annotations

import prometheus_client
from prometheus_client.parser import text_string_to_metric_families

from treadle.serving.tally import Spread, Tally
from treadle.serving.telemetry import Family, Telemetry

BOUNDS = (0.0005, 0.001, 0.25, 1, 10)
VALUES = (0.0005, 0.0004, 0.001, 0.0011, 0.25, 3.0, 10.0, 11.5)


def samples(metric):
    return sorted(
        (s.name, tuple(sorted(s.labels.items())), s.value)
        for family in metric
        for s in family.samples
        if not s.name.endswith("_created")
    )


def test_a_spread_is_what_prometheus_own_histogram_is():
    theirs = prometheus_client.Histogram("seconds", "Long.", ("endpoint",), buckets=BOUNDS, registry=None)
    ours = Spread("seconds", ("endpoint",), BOUNDS)

    for value in VALUES:
        theirs.labels("late").observe(value)
        ours.add(("late",), value)

    assert sorted(ours.samples()) == samples(theirs.collect())


def test_a_tally_is_what_prometheus_own_counter_is():
    theirs = prometheus_client.Counter("rows", "Rows.", ("endpoint", "version"), registry=None)
    ours = Tally("rows", ("endpoint", "version"))

    for rows in (1, 5, 2):
        theirs.labels("late", 3).inc(rows)
        ours.add(("late", 3), rows)

    assert sorted(ours.samples()) == samples(theirs.collect())


def test_its_text_is_read_by_prometheus_own_parser():
    spread = Spread("seconds", ("endpoint",), BOUNDS)
    spread.add(('a"b\\c',), 0.3)

    text = Telemetry().text([Family("seconds", "Long.", "histogram", spread.samples())]).decode()

    assert samples(text_string_to_metric_families(text)) == sorted(spread.samples())
