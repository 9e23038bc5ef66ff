"""How often gates decide wrongly, by simulation; the figures of the full size are in docs/decision-quality.md."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from treadle.core import plugins
from treadle.core.errors import NotFound
from treadle.evaluation.gate import Case
from treadle.evaluation.gates.beats import Beats
from treadle.evaluation.gates.no_worse import NoWorse
from treadle.evaluation.measures import metric
from treadle.evaluation.snapshots import Snapshot
from treadle.testing import decisions
from treadle.testing.populations import grouped, measured, populations

#: Draws of each kind: few here; the environment may ask for more, as `make simulate` does.
REPEATS = int(os.environ.get("TREADLE_TEST_DECISIONS", "300"))
ALPHA = 0.05
METRICS = plugins.available("metric")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("n", [200, 1_000, 1_000_000])
def test_of_two_that_are_equal_one_beats_the_other_at_most_as_often_as_it_says(name, n):
    found = decisions.equal_promoted(measured(name), n=n, repeats=REPEATS // 3 if n > 1_000 else REPEATS)

    assert found.is_at_most(ALPHA / 2), found
    assert found.refused == 0


@pytest.mark.parametrize(
    ("name", "task"), [(name, task) for name in METRICS for task in metric(name).tasks[1:]]
)
def test_nor_does_it_where_a_metric_is_for_other_tasks_too(name, task):
    measure, repeats = measured(name, task=task), REPEATS // 3

    found = decisions.equal_promoted(measure, n=300, repeats=repeats, task=task)

    assert found.is_at_most(ALPHA / 2), found
    assert found.refused == 0


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("population", ["rare", "unlike"])
@pytest.mark.parametrize("gate", ["beats", "no_worse"])
def test_one_at_the_margin_passes_at_most_as_often_as_it_says(name, population, gate):
    found = decisions.at_margin_promoted(
        measured(name), population=population, gate=gate, n=1_000, repeats=REPEATS // 2
    )

    assert found.is_at_most(ALPHA / 2), found


def test_groups_do_not_make_it_surer():
    measure, truth = metric("log_loss"), grouped(np.random.default_rng(0))
    repeats = 2 * REPEATS

    found = decisions.count(Beats("champion"), measure, truth, n=60, repeats=repeats)

    random, wrong = np.random.default_rng(0), 0
    for _ in range(repeats):
        pair = replace(decisions.drawn(truth, measure, n=60, random=random), groups=None)
        wrong += bool(decisions.decided(Beats("champion"), pair))
    assert found.is_at_most(ALPHA / 2), found
    assert wrong / repeats > ALPHA


def test_forecasts_whose_errors_overlap_do_not_make_it_surer():
    promoted, repeats = decisions.forecasts_promoted(moments=200, horizon=6, repeats=REPEATS)
    naive, _ = decisions.forecasts_promoted(moments=200, horizon=6, repeats=REPEATS, method="influence")

    assert promoted / repeats <= 0.045
    assert naive / repeats > 2 * ALPHA


def test_a_better_one_is_found():
    truth = populations("classification")["unlike"].ordered(metric("log_loss"))

    found = decisions.count(Beats("champion"), metric("log_loss"), truth, n=50_000, repeats=100)

    assert found.rate > 0.8


@pytest.mark.parametrize("name", ["log_loss", "accuracy", "roc_auc"])
def test_what_is_simulated_is_what_gates_do(name):
    truth = populations("classification")["unlike"]
    random = np.random.default_rng(5)

    for gate in (Beats("champion"), NoWorse("champion", margin=0.05)):
        pair = decisions.drawn(truth, metric(name), n=400, random=random)
        case = Case(
            snapshot=Snapshot(dataset="d", version=1, rows="", y=pair.y),
            predictions={"candidate": pair.first, "champion": pair.second},
            task="classification",
            metric=name,
        )

        assert decisions.decided(gate, pair) == gate.judge(case)[0].passed


def test_a_task_without_populations_is_named():
    with pytest.raises(NotFound, match="classification"):
        populations("clasification")
