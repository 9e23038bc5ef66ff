from __future__ import annotations

import math

import numpy as np
import pytest

from treadle.core.errors import InvalidInput
from treadle.evaluation.calibration import reliability
from treadle.evaluation.conformal import ConformalIntervals, ConformalSets
from treadle.evaluation.thresholds import Threshold

RANDOM = np.random.default_rng(8)
ROWS = 12_000
GROUP = np.array(["a", "b", "c"])[RANDOM.integers(0, 3, ROWS)]
NOISE = np.select([GROUP == "a", GROUP == "b"], [0.5, 1.0], 3.0)
X = RANDOM.normal(size=ROWS)
Y = X + NOISE * RANDOM.normal(size=ROWS)
OLD, NEW = slice(0, 6_000), slice(6_000, None)


def test_intervals_hold_the_truth_as_often_as_they_say():
    found = ConformalIntervals.fit(Y[OLD], X[OLD], alpha=0.1).measured(Y[NEW], X[NEW]).row(0, named=True)

    assert found["low"] <= 0.9 <= found["high"]


def test_by_group_they_do_so_within_each_and_without_they_do_not():
    together = ConformalIntervals.fit(Y[OLD], X[OLD], alpha=0.1)
    apart = ConformalIntervals.fit(Y[OLD], X[OLD], alpha=0.1, by=GROUP[OLD])

    mixed = together.measured(Y[NEW], X[NEW], by=GROUP[NEW])
    split = apart.measured(Y[NEW], X[NEW], by=GROUP[NEW])

    assert split["group"].to_list() == ["", "a", "b", "c"]
    assert split["coverage"].to_list() == pytest.approx([0.9] * 4, abs=0.025)
    assert split["width"].to_list()[1] < 0.3 * split["width"].to_list()[3]
    assert mixed["coverage"].to_list()[3] < 0.8


def test_quantiles_are_moved_out_or_in():
    narrow = np.column_stack([X - 0.1, X + 0.1])
    wide = np.column_stack([X - 20, X + 20])

    for p in (narrow, wide):
        found = ConformalIntervals.fit(Y[OLD], p[OLD], alpha=0.2).measured(Y[NEW], p[NEW]).row(0, named=True)

        assert found["coverage"] == pytest.approx(0.8, abs=0.02)


def test_over_many_draws_the_coverage_is_at_least_what_is_promised():
    """Of 40 old rows the chance is between 0.9 and 0.9 + 1 / 41, exactly, whatever the distribution."""
    held, repeats = 0, 4_000
    for seed in range(repeats):
        noise = np.random.default_rng(seed).standard_t(3, 41)
        low, high = ConformalIntervals.fit(noise[:40], np.zeros(40), alpha=0.1).predict(np.zeros(1))
        held += low[0] <= noise[40] <= high[0]

    assert 0.9 - 0.015 <= held / repeats <= 0.9 + 1 / 41 + 0.015


def test_too_few_rows_promise_nothing_and_say_so():
    low, high = ConformalIntervals.fit(Y[:5], X[:5], alpha=0.1).predict(X[:2])

    assert (low == -math.inf).all()
    assert (high == math.inf).all()


def test_a_group_that_was_not_seen_gets_what_all_rows_get():
    fitted = ConformalIntervals.fit(Y[OLD], X[OLD], by=GROUP[OLD])

    low, high = fitted.predict(np.zeros(1), by=np.array(["z"]))

    assert high[0] == -low[0] == fitted.width


@pytest.mark.parametrize("classes", [2, 4])
def test_sets_hold_the_truth_as_often_as_they_say(classes):
    logits = RANDOM.normal(size=(ROWS, classes)) * 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (logits + RANDOM.gumbel(size=logits.shape)).argmax(axis=1)
    p = shares[:, 1] if classes == 2 else shares

    fitted = ConformalSets.fit(y[OLD], p[OLD], alpha=0.2, by=GROUP[OLD])
    found = fitted.measured(y[NEW], p[NEW], by=GROUP[NEW])

    assert found["coverage"].to_list() == pytest.approx([0.8] * 4, abs=0.03)
    assert 1 < found["size"][0] < classes
    assert fitted.predict(p[NEW], by=GROUP[NEW]).shape == (6_000, classes)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ConformalIntervals.fit(Y[:9], X[:9], alpha=0), "alpha is 0"),
        (lambda: ConformalIntervals.fit(Y[:9], X[:8]), r"shape \(8,\) for 9 rows"),
        (lambda: ConformalIntervals.fit(Y[:9], X[:9], by=GROUP[:8]), "8 groups for 9 rows"),
        (lambda: ConformalIntervals.fit(Y[:2], np.zeros((2, 3))), r"Expected \(rows,\) or \(rows, 2\)"),
        (lambda: ConformalSets.fit([0, 1, 2], [0.1, 0.2, 0.3]), "outcome in row 2 is 2"),
        (lambda: ConformalIntervals.fit(np.zeros((9, 2)), np.zeros((9, 2))), "one number for each row"),
        (lambda: ConformalSets.fit(np.zeros((9, 2)), np.zeros((9, 2))), "one number for each row"),
        (lambda: reliability(np.zeros((9, 2)), np.zeros((9, 2))), "one number for each row"),
        (lambda: Threshold.chosen(np.zeros((9, 2)), np.zeros((9, 2))), "one number for each row"),
        (lambda: ConformalSets.fit([0, 1], [0.1]), "1 predictions for 2 outcomes"),
    ],
)
def test_what_does_not_fit_is_refused(call, text):
    with pytest.raises(InvalidInput, match=text):
        call()
