from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from treadle.core.errors import InvalidInput
from treadle.evaluation.calibration import Recalibration, reliability
from treadle.evaluation.measures import metric

RANDOM = np.random.default_rng(8)
TRUE = RANDOM.beta(2, 3, 20_000)
Y = (RANDOM.random(20_000) < TRUE).astype(float)
#: Too sure of itself, and moved.
SAID = 1 / (1 + np.exp(-(2 * np.log(TRUE / (1 - TRUE)) + 0.5)))


def test_what_is_calibrated_happens_as_often_as_it_says():
    found = reliability(Y, TRUE)

    assert found["rows"].sum() == 20_000
    inside = (found["happened_low"] <= found["predicted"]) & (found["predicted"] <= found["happened_high"])
    assert inside.sum() >= found.height - 1


def test_the_table_agrees_with_the_calibration_error():
    found = reliability(Y, SAID)

    distance = (found["rows"] * (found["predicted"] - found["happened"]).abs()).sum() / 20_000
    assert distance == pytest.approx(metric("calibration_error").value(Y, SAID))


def test_bins_may_hold_equally_many_rows():
    found = reliability(Y, SAID, bins=8, spaced="by rows")

    assert found["rows"].to_list() == pytest.approx([2_500] * 8, abs=2)
    assert found["low"][0] == 0
    assert found["high"][-1] == 1


def test_equal_predictions_make_one_bin():
    assert reliability([0, 1, 1], [0.7, 0.7, 0.7], spaced="by rows")["rows"].to_list() == [3]


@pytest.mark.parametrize("way", [Recalibration.platt, Recalibration.isotonic])
def test_mended_probabilities_keep_what_they_say_on_other_rows(way):
    fitted = way(Y[:10_000], SAID[:10_000])

    mended = fitted.apply(SAID[10_000:])

    error = metric("calibration_error")
    assert error.value(Y[10_000:], mended) < 0.3 * error.value(Y[10_000:], SAID[10_000:])
    assert metric("log_loss").value(Y[10_000:], mended) < metric("log_loss").value(Y[10_000:], SAID[10_000:])
    order = np.argsort(SAID[10_000:])
    assert (np.diff(mended[order]) >= -1e-12).all()


def test_platts_two_numbers_are_those_of_logistic_regression():
    odds = np.log(SAID / (1 - SAID))[:, None]
    expected = LogisticRegression(C=np.inf, tol=1e-10).fit(odds, Y)

    found = Recalibration.platt(Y, SAID)

    assert found.slope == pytest.approx(expected.coef_[0, 0], rel=5e-3)
    assert found.shift == pytest.approx(expected.intercept_[0], rel=5e-3, abs=1e-3)


def test_the_isotonic_curve_is_scikit_learns():
    expected = IsotonicRegression(out_of_bounds="clip").fit(SAID, Y)

    found = Recalibration.isotonic(Y, SAID)

    some = np.linspace(0, 1, 101)
    assert found.apply(some) == pytest.approx(expected.predict(some))


def test_rows_that_are_told_apart_without_error_are_no_reason_to_be_certain():
    y, p = np.repeat([0.0, 1.0], 20), np.repeat([0.0, 1.0], 20)

    mended = Recalibration.platt(y, p).apply(p)

    assert 0 < mended.min() < mended.max() < 1


@pytest.mark.parametrize("way", [Recalibration.platt, Recalibration.isotonic])
def test_both_outcomes_are_needed(way):
    with pytest.raises(InvalidInput, match="Every outcome of the 3 rows is 1"):
        way([1, 1, 1], [0.2, 0.5, 0.6])
