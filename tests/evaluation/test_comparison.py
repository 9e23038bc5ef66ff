from __future__ import annotations

import numpy as np
import pytest

from treadle.evaluation.comparison import Comparison, number
from treadle.evaluation.interval import Interval
from treadle.evaluation.measures import metric
from treadle.evaluation.pair import Pair


def comparison(difference, low, high, *, name="log_loss", first=0.42, n=8_214, units=8_214):
    interval = Interval(
        first=first,
        second=first - difference,
        difference=difference,
        low=low,
        high=high,
        alpha=0.05,
        n=n,
        units=units,
    )
    pair = Pair(measure=metric(name), y=np.zeros(n), first=np.zeros(n), second=np.zeros(n))
    return Comparison(candidate="candidate", reference="champion", pair=pair, interval=interval)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            comparison(-0.01324, -0.01631, -0.01012),
            "candidate's log_loss is lower than champion's by 0.0132 (95 % interval 0.0101 to 0.0163, n = 8,214): better.",
        ),
        (
            comparison(0.01324, 0.01012, 0.01631),
            "candidate's log_loss is higher than champion's by 0.0132 (95 % interval 0.0101 to 0.0163, n = 8,214): worse.",
        ),
        (
            comparison(0.002, -0.001, 0.005, name="roc_auc"),
            "candidate's roc_auc is higher than champion's by 0.00200 "
            "(95 % interval -0.00100 to 0.00500, n = 8,214): no difference.",
        ),
        (
            comparison(0.02, 0.01, 0.03, name="roc_auc", units=310),
            "candidate's roc_auc is higher than champion's by 0.0200 "
            "(95 % interval 0.0100 to 0.0300, n = 8,214 in 310 groups): better.",
        ),
        (
            comparison(-1_234.5, -2_345.6, -123.4, name="rmse"),
            "candidate's rmse is lower than champion's by 1,234 (95 % interval 123 to 2,346, n = 8,214): better.",
        ),
        (
            comparison(0.0, 0.0, 0.0),
            "candidate's log_loss is the same as champion's (0.420, n = 8,214): no difference.",
        ),
    ],
)
def test_sentences(found, sentence):
    assert found.sentence() == sentence


def test_harm_is_a_gain_turned_round_where_greater_is_better():
    assert comparison(0.02, 0.01, 0.03, name="roc_auc").harm == (-0.03, -0.01)
    assert comparison(0.02, 0.01, 0.03, name="log_loss").harm == (0.01, 0.03)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.000"), (1, "1.00"), (-0.00001234, "-0.0000123"), (999.6, "1,000"), (12.345, "12.3")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_a_small_negative_is_not_written_as_minus_nothing():
    assert number(-0.00001, size=1.0) == "0.00"
