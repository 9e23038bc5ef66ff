from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.evaluation import gates
from treadle.evaluation.gate import Case
from treadle.evaluation.gates.beats import Beats
from treadle.evaluation.gates.no_worse import NoWorse
from treadle.evaluation.snapshots import Snapshot

RANDOM = np.random.default_rng(2)
SIGNAL = RANDOM.normal(size=4_000)
Y = (RANDOM.random(4_000) < 1 / (1 + np.exp(-SIGNAL))).astype(float)


def contender(noise, seed):
    return 1 / (1 + np.exp(-(SIGNAL + np.random.default_rng(seed).normal(size=4_000) * noise)))


GOOD, ALSO_GOOD, POOR = contender(0.2, 1), contender(0.2, 5), contender(1.0, 3)


def case(*, rows=4_000, groups=None, metric="log_loss", **predictions):
    snapshot = Snapshot(
        dataset="flights",
        version=12,
        rows="sha256:0",
        y=Y[:rows],
        groups=None if groups is None else groups[:rows],
    )
    named = {name.replace("__", ":"): values[:rows] for name, values in predictions.items()}
    return Case(snapshot=snapshot, predictions=named, task="classification", metric=metric)


def ruling(gate, found):
    (only,) = gate.judge(found)
    return only


def test_the_better_beats():
    found = ruling(Beats("champion"), case(candidate=GOOD, champion=POOR))

    assert found.passed
    assert found.high < 0
    assert found.difference == pytest.approx(found.candidate_value - found.reference_value)
    assert found.reason.startswith("candidate's log_loss is lower than champion's by 0.")
    assert found.reason.endswith("n = 4,000): better.")


def test_the_worse_does_not_beat():
    found = ruling(Beats("champion"), case(candidate=POOR, champion=GOOD))

    assert not found.passed
    assert found.reason.endswith(": worse. It must be better to pass.")


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "accuracy", "f1", "calibration_error"])
def test_a_model_does_not_beat_itself_and_is_no_worse(metric):
    itself = case(candidate=GOOD, champion=GOOD.copy(), metric=metric)

    beats, no_worse = ruling(Beats("champion"), itself), ruling(NoWorse("champion", margin=0), itself)

    assert (beats.passed, no_worse.passed) == (False, True)
    assert (beats.difference, beats.low, beats.high) == (0.0, 0.0, 0.0)
    assert "no difference." in beats.reason
    assert no_worse.reason.endswith("no difference.")


def test_one_that_is_as_good_is_no_worse_but_does_not_beat():
    found = case(candidate=GOOD, champion=ALSO_GOOD)

    beats, no_worse = ruling(Beats("champion"), found), ruling(NoWorse("champion"), found)

    assert (beats.passed, no_worse.passed) == (False, True)
    assert "no difference. A harm above 0.00" in no_worse.reason
    assert "(1 % of champion's 0.600)" in no_worse.reason
    assert no_worse.reason.endswith("is ruled out.")


def test_a_harm_that_cannot_be_ruled_out_does_not_pass():
    found = ruling(NoWorse("champion", min_rows=10), case(rows=40, candidate=GOOD, champion=ALSO_GOOD))

    assert not found.passed
    assert "no difference. A harm of up to 0." in found.reason
    assert found.reason.endswith(") is accepted.")


def test_a_harm_within_the_margin_passes_though_it_is_sure():
    found = ruling(NoWorse("champion", margin=0.5), case(candidate=POOR, champion=GOOD))

    assert found.passed
    assert found.low > 0
    assert found.margin == pytest.approx(0.5 * found.reference_value)
    assert ": worse. A harm above" in found.reason


@pytest.mark.parametrize("gate", [Beats("champion", on="roc_auc"), NoWorse("champion", on="roc_auc")])
def test_greater_is_better_for_some_metrics(gate):
    better = ruling(gate, case(candidate=GOOD, champion=POOR))
    worse = ruling(gate, case(candidate=POOR, champion=GOOD))

    assert (better.passed, worse.passed) == (True, False)
    assert better.low > 0
    assert ": better." in better.reason
    assert ": worse." in worse.reason


def test_a_margin_asks_beats_for_more():
    found = case(candidate=GOOD, champion=POOR)
    gain = -ruling(Beats("champion"), found).high

    enough, short = (ruling(Beats("champion", margin=gain * share), found) for share in (0.99, 1.01))

    assert (enough.passed, short.passed) == (True, False)
    assert short.margin == pytest.approx(-gain * 1.01)
    assert "It must be better by more than 0." in short.reason


@pytest.mark.parametrize("gate", [Beats("champion"), NoWorse("champion")])
def test_the_first_candidate_has_no_champion_to_fear(gate):
    found = ruling(gate, case(rows=10, candidate=GOOD))

    assert found.passed
    assert found.reason.startswith("There is no champion yet")
    assert (found.n, found.metric, found.difference) == (10, "log_loss", None)


@pytest.mark.parametrize("gate", [Beats("champion"), NoWorse("champion")])
@pytest.mark.parametrize("rows", [0, 1, 199])
def test_too_few_rows_pass_nobody(gate, rows):
    found = ruling(gate, case(rows=rows, candidate=GOOD, champion=POOR))

    assert not found.passed
    assert found.reason == f"Only {rows} rows can be compared; at least 200 are needed."


def test_enough_rows_of_too_few_groups_pass_nobody():
    groups = np.arange(4_000) % 29

    found = ruling(NoWorse("champion"), case(groups=groups, candidate=GOOD, champion=POOR))

    assert not found.passed
    assert found.reason == "The 4,000 rows are of 29 groups only; at least 30 are needed."


def test_rows_of_one_group_are_not_taken_for_independent():
    rows = case(candidate=GOOD, champion=ALSO_GOOD)
    groups = case(groups=np.arange(4_000) // 40, candidate=GOOD, champion=ALSO_GOOD)

    found = ruling(Beats("champion"), groups)

    assert "n = 4,000 in 100 groups" in found.reason
    assert found.low != ruling(Beats("champion"), rows).low


def test_each_baseline_must_be_beaten():
    found = Beats("baseline").judge(
        case(candidate=GOOD, baseline__prior=POOR, baseline__other=GOOD, champion=POOR)
    )

    assert [(one.reference, one.passed) for one in found] == [
        ("baseline:prior", True),
        ("baseline:other", False),
    ]


def test_a_baseline_may_be_named():
    found = ruling(Beats("baseline:prior"), case(candidate=GOOD, baseline__prior=POOR, baseline__other=GOOD))

    assert (found.reference, found.passed) == ("baseline:prior", True)


def test_a_baseline_that_is_not_there_passes_nobody():
    found = ruling(Beats("baseline"), case(candidate=GOOD, champion=POOR))

    assert not found.passed
    assert found.reason.startswith("There is no baseline to compare with. Declare one")


def test_a_name_that_is_not_there_passes_nobody():
    found = ruling(Beats("challanger"), case(candidate=GOOD, challenger=POOR))

    assert not found.passed
    assert (
        found.reason
        == "There is no contender named 'challanger'. Available: challenger. Did you mean 'challenger'?"
    )


def test_a_metric_without_a_value_passes_nobody():
    only = Case(
        snapshot=Snapshot(dataset="flights", version=1, rows="", y=np.ones(300)),
        predictions={"candidate": GOOD[:300], "champion": POOR[:300]},
        task="classification",
        metric="roc_auc",
    )

    found = ruling(NoWorse("champion"), only)

    assert not found.passed
    assert found.candidate_value is None
    assert (
        found.reason
        == "roc_auc has no value for candidate and champion on these 300 rows, where every outcome is 1."
    )


def test_a_metric_of_another_task_is_refused():
    with pytest.raises(
        InvalidInput,
        match=r"'rmse' is for regression and forecast; the task is classification. Available: accuracy",
    ):
        Beats("champion", on="rmse").judge(case(candidate=GOOD, champion=POOR))


@pytest.mark.parametrize("made", [Beats, NoWorse])
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"reference": ""}, "reference=''.*expected another contender"),
        ({"reference": "candidate"}, "expected another contender"),
        ({"reference": None}, "expected another contender"),
        ({"on": "log loss"}, r"on='log loss'.*Did you mean 'log_loss'"),
        ({"alpha": 0}, "alpha=0.*between 0 and 1"),
        ({"alpha": 5}, "alpha=5.*between 0 and 1"),
        ({"alpha": "0.05"}, "alpha='0.05'.*between 0 and 1"),
        ({"margin": -0.1}, "margin=-0.1.*0 or more"),
        ({"margin": float("nan")}, "margin=nan.*0 or more"),
        ({"min_rows": 0}, "min_rows=0.*1 or more"),
    ],
)
def test_what_cannot_hold_is_refused_at_declaration(made, arguments, text):
    with pytest.raises(InvalidDeclaration, match=text):
        made(**{"reference": "champion", **arguments})


def test_equal_gates_have_equal_declarations():
    assert Beats("champion").spec() == Beats("champion", alpha=0.05, margin=0).spec()
    assert Beats("champion").spec() != Beats("champion", alpha=0.1).spec()
    assert NoWorse("champion", margin=1).spec() == NoWorse("champion", margin=1.0).spec()


def test_the_folder_finds_its_gates_by_name():
    assert gates.Beats is Beats
    assert gates.NoWorse is NoWorse
    with pytest.raises(AttributeError, match="no gate named 'Nothing'. Available: beats, no_worse"):
        gates.Nothing  # noqa: B018 - the lookup itself is tried


def test_naming_the_folder_loads_no_gate():
    code = "import sys, treadle as td; td.gates, td.baselines; sys.exit('numpy' in sys.modules or 'polars' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
