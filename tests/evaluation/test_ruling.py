from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.evaluation.gate import Case, Ruling, columns_for
from treadle.evaluation.gates.beats import Beats
from treadle.evaluation.gates.no_worse import NoWorse
from treadle.evaluation.objective import Objective
from treadle.evaluation.ruling import Question, holm
from treadle.evaluation.snapshots import Snapshot
from treadle.testing.populations import populations

TRUTH = populations("classification", seed=3)["unlike"]
ROWS = 4_000
Y, GOOD = TRUTH.y, TRUTH.first
#: Worse where the carrier is AA, the same elsewhere.
CARRIER = np.array(["UA", "AA", "DL", "WN"])[np.arange(ROWS) % 4]
CARRIER[:40] = "XX"
POOR = np.where(CARRIER == "AA", np.clip(1.15 - GOOD, 0.02, 0.98), GOOD)


def case(candidate, champion, **more):
    columns = {"carrier": pl.Series(CARRIER), "month": pl.Series(np.arange(ROWS) % 2)}
    snapshot = Snapshot(dataset="flights", version=12, rows="", y=Y, columns=columns, **more)
    predictions = {"candidate": candidate, "champion": champion}
    return Case(snapshot=snapshot, predictions=predictions, task="classification", metric="log_loss")


def worse(share, seed=1):
    noise = np.random.default_rng(seed).normal(size=ROWS) * share
    return np.clip(GOOD + noise, 0.01, 0.99)


def test_several_metrics_must_all_be_better():
    found = Beats("champion", on=["log_loss", "roc_auc", "brier"]).judge(case(GOOD, worse(0.3)))

    assert [(one.metric, one.passed, one.correction, one.alpha) for one in found] == [
        ("log_loss", True, "all", 0.05),
        ("roc_auc", True, "all", 0.05),
        ("brier", True, "all", 0.05),
    ]
    assert {one.method for one in found} == {"influence"}


def test_one_metric_that_is_not_better_is_enough_to_fail():
    sharper = GOOD**2 / (GOOD**2 + (1 - GOOD) ** 2)

    found = Beats("champion", on=["log_loss", "roc_auc"]).judge(case(GOOD, sharper))

    assert [one.passed for one in found] == [True, False]


def test_one_metric_may_be_enough_and_pays_for_the_choice():
    sharper = GOOD**2 / (GOOD**2 + (1 - GOOD) ** 2)
    gate = Beats("champion", on=["roc_auc", "log_loss"], enough="any")

    auc, loss = gate.judge(case(GOOD, sharper))

    assert (auc.passed, loss.passed) == (True, True)
    assert (auc.correction, loss.correction) == ("holm", "holm")
    assert (loss.alpha, auc.alpha) == (0.025, 0.05)
    assert auc.reason.endswith(
        "no difference. It must be better to pass. Passed, for one of 2 is enough: log_loss."
    )


def test_where_none_is_better_one_is_not_enough():
    found = Beats("champion", on=["roc_auc", "log_loss"], enough="any").judge(case(GOOD, GOOD.copy()))

    assert [one.passed for one in found] == [False, False]
    assert found[0].reason.endswith("Not passed, though one of 2 is enough.")


@pytest.mark.parametrize(
    ("chances", "passed"),
    [
        ([0.01, 0.02, 0.04], [True, True, True]),
        ([0.04, 0.02, 0.01], [True, True, True]),
        ([0.01, 0.03, 0.04], [True, False, False]),
        ([0.02, 0.02, 0.02], [False, False, False]),
        ([0.016, 0.024, 0.06], [True, True, False]),
    ],
)
def test_holm_is_the_textbooks(chances, passed):
    asked = [Question(reference="champion", on=str(place)) for place in range(3)]

    def answer(question, level):
        held = chances[int(question.on)] <= level
        return Ruling(reference="champion", metric=question.on, alpha=level, n=1, passed=held, reason="")

    assert [one.passed for one in holm(asked, 0.05, answer)] == passed


def test_a_harm_in_one_slice_does_not_hide_in_the_whole():
    found = NoWorse("champion", margin=0.02, by="carrier").judge(case(POOR, GOOD))

    ruled = {one.slice: one.passed for one in found}
    assert ruled == {
        "": False,
        "carrier=AA": False,
        "carrier=DL": True,
        "carrier=WN": True,
        "carrier=UA": True,
    }
    said = {one.slice: one.reason for one in found}
    assert said["carrier=AA"].startswith("Of carrier=AA: candidate's log_loss is higher than champion's by")
    assert said[""].endswith("Not judged apart: 1 slices of fewer than 200 rows, 40 rows in all.")
    assert sum(one.n for one in found[1:]) == ROWS - 40


def test_slices_by_two_columns_are_their_combinations():
    found = NoWorse("champion", by=["carrier", "month"]).judge(case(GOOD, GOOD.copy()))

    assert {one.slice for one in found} == {
        "",
        "carrier=AA, month=1",
        "carrier=DL, month=0",
        "carrier=UA, month=0",
        "carrier=WN, month=1",
    }
    assert all(one.passed for one in found)


def test_a_slice_without_a_value_has_a_name():
    snapshot = Snapshot(
        dataset="d", version=1, rows="", y=np.zeros(3), columns={"c": pl.Series(["a", None, "a"])}
    )

    assert {name: rows.tolist() for name, rows in snapshot.slices(("c",)).items()} == {
        "c=a": [0, 2],
        "c=none": [1],
    }


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(
        InvalidInput, match="no column 'carier' to slice flights/12 by.*Did you mean 'carrier'"
    ):
        NoWorse("champion", by="carier").judge(case(GOOD, POOR))


def test_a_column_is_one_value_for_each_row():
    with pytest.raises(InvalidInput, match="1 carrier for 2 rows"):
        Snapshot(dataset="d", version=1, rows="", y=np.zeros(2), columns={"carrier": pl.Series(["a"])})


def test_metrics_and_slices_are_one_family():
    gate = Beats("champion", on=["log_loss", "brier"], by="carrier", enough="any", min_rows=900)

    found = gate.judge(case(GOOD, GOOD.copy()))

    assert len(found) == 2 * 5
    assert {one.alpha for one in found} == {0.05 / 10}


def test_an_objective_weighs_metrics_against_each_other():
    sharper = GOOD**2 / (GOOD**2 + (1 - GOOD) ** 2)
    objective = Objective({"log_loss": 1.0, "roc_auc": 0.5})

    (found,) = Beats("champion", on=objective).judge(case(GOOD, sharper))

    assert found.passed
    assert found.metric == "0.5*roc_auc-1*log_loss"
    assert "lower" not in found.reason


def test_gates_say_which_columns_they_need():
    assert columns_for(
        [Beats("champion"), NoWorse("champion", by="a"), Beats("champion", by=["b", "a"])]
    ) == (
        "a",
        "b",
    )


def test_declarations_are_plain_and_tell_gates_apart():
    gate = Beats("champion", on=[Objective({"brier": 1}), "log_loss"], by=["carrier"], alpha=1e-2)

    assert gate.spec() == {
        "gate": "beats",
        "reference": "champion",
        "on": [{"objective": {"brier": 1.0}}, "log_loss"],
        "alpha": 0.01,
        "min_rows": 200,
        "margin": 0.0,
        "by": ["carrier"],
        "enough": "all",
        "method": None,
    }


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda: Beats("champion", on=[]), r"on=\[\].*list of different ones"),
        (lambda: Beats("champion", on=["brier", "brier"]), "list of different ones"),
        (lambda: Beats("champion", on=["brier", "roc auc"]), "on='roc auc'.*names no metric"),
        (lambda: Beats("champion", enough="some"), "enough='some'.*'all' or 'any'"),
        (lambda: Beats("champion", method="t"), "method='t'.*one of bootstrap"),
        (lambda: NoWorse("champion", by=""), "expected a column's name"),
        (lambda: Objective({}), "one metric or more"),
        (lambda: Objective({"brier": 0}), "weight of brier is 0"),
        (lambda: Objective({"brier": 1, "rmse": 1}), "with a task in common"),
        (lambda: Objective({"auc": 1}), "names no metric: 'auc'"),
        (lambda: Objective({"mase": 1, "mae": 1}), "mase is in units of each series"),
        (lambda: Objective({"calibration_error": 1}), "noise alone raises calibration_error"),
    ],
)
def test_what_cannot_hold_is_refused_at_declaration(declare, text):
    with pytest.raises(InvalidDeclaration, match=text):
        declare()


def test_a_model_is_never_worse_than_itself_though_few_rows_decide():
    y = (np.arange(400) < 5).astype(float)
    snapshot = Snapshot(dataset="d", version=1, rows="", y=y)
    p = np.linspace(0.1, 0.9, 400)
    same = Case(
        snapshot=snapshot,
        predictions={"candidate": p, "champion": p.copy()},
        task="classification",
        metric="recall",
    )

    (found,) = NoWorse("champion").judge(same)

    assert found.passed


def test_the_margin_allows_for_the_chance_in_the_references_own_value():
    """What is judged is the candidate less (1 + margin) times the reference, not a margin taken to be known."""
    candidate, champion = worse(0.05), GOOD
    (found,) = NoWorse("champion", margin=0.5).judge(case(candidate, champion))

    assert found.passed
    comparison = case(candidate, champion).compare("champion", on=None, alpha=0.05)
    plain = comparison.harm[1] - 0.5 * found.reference_value
    assert comparison.harm_beyond(0.5) > plain
