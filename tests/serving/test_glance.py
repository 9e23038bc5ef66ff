from __future__ import annotations

import math

from treadle.serving.glance import between, parse, quantile


def text(requests, *, died=0):
    labels = 'endpoint="delay",variant="champion",version="7"'
    return "\n".join(
        [
            "# HELP treadle_request_seconds Time.",
            f'treadle_request_seconds_bucket{{{labels},le="0.01"}} {requests / 2}',
            f'treadle_request_seconds_bucket{{{labels},le="0.1"}} {requests}',
            f'treadle_request_seconds_bucket{{{labels},le="+Inf"}} {requests}',
            f"treadle_predictions_total{{{labels}}} {requests * 3}",
            'treadle_endpoint_revision{endpoint="delay"} 4.0',
            'treadle_requests_rejected_total{reason="busy"} 10.0',
            "treadle_log_writable 1.0",
            "treadle_ledger_reachable 0.0",
            f"treadle_worker_deaths_total {died}",
        ]
    )


def test_rates_and_quantiles_are_those_between_two_looks():
    seen = between(parse(text(100)), parse(text(300, died=1)), 2.0)

    (one,) = seen.served
    assert (one.endpoint, one.version, one.variant) == ("delay", "7", "champion")
    assert (one.requests, one.rows, one.p50) == (100, 300, 0.01)
    assert math.isclose(one.p99, 0.0982)
    assert (seen.revisions, seen.rejected, seen.deaths) == ({"delay": 4}, {}, 1)
    assert seen.problems == ["the ledger does not answer: loaded revisions go on"]


def test_a_server_that_began_again_has_not_done_less_than_nothing():
    seen = between(parse(text(300)), parse(text(40)), 1.0)

    assert seen.served[0].requests == 40


def test_nothing_seen_is_no_time_and_what_is_beyond_the_last_bound_is_at_least_that():
    assert quantile({}, 0.5) is None
    assert quantile({0.1: 0, math.inf: 0}, 0.5) is None
    assert quantile({0.1: 1, math.inf: 100}, 0.99) == 0.1


def test_labels_may_hold_whatever_prometheus_escapes():
    (key,) = parse(r'x{a="b\"c\\,}",d="1"} 2')

    assert key == ("x", (("a", r"b\"c\\,}"), ("d", "1")))
