"""Metrics of one's own: scored, judged and refused like the plug-ins."""

from __future__ import annotations

import numpy as np
import pytest

from treadle.core.errors import InvalidInput, NotFound
from treadle.core.metric import Metric
from treadle.evaluation.gate import Case
from treadle.evaluation.gates.beats import Beats
from treadle.evaluation.measures import metric
from treadle.evaluation.own import measure_of, measures_of
from treadle.evaluation.snapshots import Snapshot
from treadle.testing import decisions
from treadle.testing.populations import populations
from treadle.training.tasks.custom import Custom


def cost(y, p):
    """Too little costs five times as much as too much."""
    return np.where(p < y, 5 * (y - p), p - y)


OWN = Custom(metrics=[Metric(cost, greater_is_better=False), "mae"])
RANDOM = np.random.default_rng(0)
Y = RANDOM.normal(size=500)


def case(**predictions):
    snapshot = Snapshot(dataset="d", version=1, rows="", y=Y, measures=measures_of(OWN))
    return Case(snapshot=snapshot, predictions=predictions, task=OWN.name, metric=OWN.metric)


def test_a_metric_is_the_mean_of_what_its_function_gives():
    assert measure_of("cost", OWN).value([1.0, 2.0], [0.0, 4.0]) == 3.5
    assert measure_of("cost", OWN).value([1.0, 2.0], [0.0, 4.0], [3, 1]) == 17 / 4
    assert measure_of("mae", OWN) == metric("mae")


def test_a_gate_decides_on_it_by_default_and_by_name():
    near, far = Y + 0.1 * RANDOM.normal(size=500), Y + RANDOM.normal(size=500)

    for gate in (Beats("champion"), Beats("champion", on="cost"), Beats("champion", on="mae")):
        (better,) = gate.judge(case(candidate=near, champion=far))
        (worse,) = gate.judge(case(candidate=far, champion=near))

        assert (better.passed, worse.passed) == (True, False)
        assert better.metric == (gate.on or "cost")
    assert better.method == "influence"


def test_a_metric_that_the_question_does_not_have_is_refused():
    with pytest.raises(
        InvalidInput, match="'rmse' is for regression and forecast; the task is custom. Available: cost, mae"
    ):
        Beats("champion", on="rmse").judge(case(candidate=Y, champion=Y))
    with pytest.raises(NotFound, match="cots"):
        Beats("champion", on="cots").judge(case(candidate=Y, champion=Y))


def test_two_that_are_equal_beat_each_other_as_seldom_as_by_any_metric():
    found = decisions.count(
        Beats("champion"), measure_of("cost", OWN), populations("regression")["twins"], n=300, repeats=300
    )

    assert found.is_at_most(0.025), found


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda y, p: abs(y - p).mean(), r"shape \(\) for 3 rows. Expected one number for each row"),
        (lambda y, p: y[:2], r"shape \(2,\)"),
        (lambda y, p: p / 0 * 0 if False else y + np.inf, "metric bad gives hold inf in row 0"),
        (lambda y, p: ["a", "b", "c"], "metric bad gives are not numbers"),
        (lambda y, p: None, r"shape \(\)"),
    ],
)
def test_what_is_no_number_for_each_row_is_refused(function, text):
    bad = Custom(metrics=[Metric(function, greater_is_better=True, name="bad")])

    with pytest.raises(InvalidInput, match=text):
        measure_of("bad", bad).value([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])


def test_a_function_cannot_change_what_others_are_scored_on():
    def sorts(y, p):
        p.sort()
        return p

    with pytest.raises(ValueError, match="read-only"):
        measure_of("sorts", Custom(metrics=[Metric(sorts, greater_is_better=True)])).value([1.0], [2.0])
