from __future__ import annotations

import numpy as np
import pytest

from treadle.core.errors import InvalidInput
from treadle.evaluation.thresholds import Threshold, trade_off

RANDOM = np.random.default_rng(8)
P = RANDOM.beta(2, 5, 20_000)
Y = (RANDOM.random(20_000) < P).astype(float)


def cost(threshold, y, p):
    said = threshold.says(p)
    return np.mean(threshold.false_alarm * (said & (y == 0)) + threshold.miss * (~said & (y == 1)))


@pytest.mark.parametrize(("false_alarm", "miss"), [(1, 1), (1, 4), (3, 1), (1, 0), (0, 1)])
def test_no_threshold_costs_less_on_the_rows_it_was_chosen_on(false_alarm, miss):
    y, p = Y[:500], P[:500].round(2)

    found = Threshold.chosen(y, p, false_alarm=false_alarm, miss=miss)

    others = [
        Threshold(value=value, false_alarm=false_alarm, miss=miss)
        for value in np.concatenate([np.unique(p), [0, 1.01]])
    ]
    assert cost(found, y, p) == pytest.approx(min(cost(one, y, p) for one in others))


def test_of_calibrated_probabilities_it_is_the_odds_of_the_costs():
    assert Threshold.chosen(Y, P, false_alarm=1, miss=4).value == pytest.approx(0.2, abs=0.05)


def test_it_lies_between_two_predictions():
    found = Threshold.chosen([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])

    assert found.value == pytest.approx(0.5)


def test_what_it_costs_is_measured_on_other_rows_with_intervals():
    found = Threshold.chosen(Y[:10_000], P[:10_000], false_alarm=1, miss=4)

    measured = found.measured(Y[10_000:], P[10_000:])

    assert measured["cost"].first == pytest.approx(cost(found, Y[10_000:], P[10_000:]))
    assert set(measured) == {"cost", "precision", "recall"}
    for one in measured.values():
        assert one.low < one.first < one.high


def test_a_precision_may_be_asked_for():
    found = Threshold.at_precision(Y, P, least=0.5)

    said = found.says(P)
    assert Y[said].mean() >= 0.5
    assert Y[found.value - 0.02 <= P].mean() < 0.5 + 0.01


def test_a_precision_that_nothing_reaches_is_refused():
    with pytest.raises(InvalidInput, match="No threshold has a precision of 0.99.*the greatest is"):
        Threshold.at_precision([1, 0, 1, 0], [0.9, 0.95, 0.3, 0.2], least=0.99)


def test_precision_and_recall_of_each_threshold():
    found = trade_off(Y, P)

    assert found.height == 200
    assert found["recall"].is_sorted()
    assert found["recall"][-1] == 1
    row = found.row(120, named=True)
    assert row["precision"] == pytest.approx(Y[row["threshold"] <= P].mean())
    assert row["recall"] == pytest.approx(Y[row["threshold"] <= P].sum() / Y.sum())


@pytest.mark.parametrize("costs", [{"miss": -1}, {"miss": 0, "false_alarm": 0}, {"miss": float("nan")}])
def test_costs_are_not_negative(costs):
    with pytest.raises(InvalidInput, match="Expected 0 or more, and not both 0"):
        Threshold.chosen(Y, P, **costs)
