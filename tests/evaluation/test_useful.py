from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from treadle.core.errors import InvalidDeclaration
from treadle.evaluation.gate import Case
from treadle.evaluation.gates.useful import Useful
from treadle.evaluation.snapshots import Snapshot
from treadle.testing.populations import populations

TRUTH = populations("classification")["unlike"]


def judged(gate, *, rows=4_000, groups=None):
    columns = {"month": pl.Series(np.arange(rows) % 2)}
    snapshot = Snapshot(
        dataset="flights", version=1, rows="", y=TRUTH.y[:rows], columns=columns, groups=groups
    )
    case = Case(
        snapshot=snapshot,
        predictions={"candidate": TRUTH.first[:rows]},
        task="classification",
        metric="log_loss",
    )
    return gate.judge(case)


def test_it_passes_where_the_whole_interval_reaches_the_threshold():
    (value,) = {one.candidate_value for one in judged(Useful("roc_auc", at_least=0.5))}

    (enough,) = judged(Useful("roc_auc", at_least=value - 0.03))
    (close,) = judged(Useful("roc_auc", at_least=value - 0.002))

    assert (enough.passed, close.passed) == (True, False)
    assert enough.reason.startswith("candidate's roc_auc is 0.")
    assert ": surely at least 0." in enough.reason
    assert ": not surely at least 0." in close.reason
    assert enough.low <= enough.difference <= enough.high
    assert enough.reference == "threshold"


def test_less_is_better_for_some_metrics():
    (found,) = judged(Useful("log_loss", at_most=0.9))

    assert found.passed
    assert found.high < 0


def test_each_slice_must_be_useful_too():
    found = judged(Useful("brier", at_most=0.3, by="month"))

    assert [one.slice for one in found] == ["", "month=0", "month=1"]
    assert all(one.passed for one in found)


def test_few_rows_and_few_groups_pass_nobody():
    (rows,) = judged(Useful("brier", at_most=0.9), rows=100)
    (groups,) = judged(Useful("brier", at_most=0.9), groups=np.arange(4_000) % 10)

    assert (rows.passed, groups.passed) == (False, False)
    assert "at least 200 are needed" in rows.reason
    assert "10 groups only" in groups.reason


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda: Useful("roc_auc"), "at_least or at_most"),
        (lambda: Useful("roc_auc", at_least=0.5, at_most=0.7), "at_least or at_most"),
        (lambda: Useful(["roc_auc", "brier"], at_least=0.5), "expected one metric"),
        (lambda: Useful("roc_auc", at_least="high"), "expected a number"),
        (lambda: judged(Useful("roc_auc", at_most=0.5)), "say at_least, for more is better"),
        (lambda: judged(Useful("brier", at_least=0.5)), "say at_most, for less is better"),
    ],
)
def test_what_cannot_hold_is_refused(declare, text):
    with pytest.raises(InvalidDeclaration, match=text):
        declare()
