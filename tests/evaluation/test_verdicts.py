from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.records import Run, to_json
from treadle.evaluation.gates.beats import Beats
from treadle.evaluation.gates.no_worse import NoWorse
from treadle.evaluation.snapshots import Snapshot
from treadle.evaluation.verdicts import Verdicts
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import micros, put, runs

NOW = datetime(2013, 4, 1, tzinfo=UTC)
RANDOM = np.random.default_rng(2)
GOOD = RANDOM.random(1_000)
Y = (RANDOM.random(1_000) < GOOD).astype(int)
SNAPSHOT = Snapshot(dataset="flights", version=12, rows="sha256:0", y=Y, on="forward")
PREDICTIONS = {
    "candidate": GOOD,
    "champion": RANDOM.random(1_000),
    "baseline:prior": np.full(1_000, Y.mean()),
}
GATES = (Beats("baseline"), NoWorse("champion"))


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger.open("sqlite:///ledger.db", root=tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def verdicts(ledger, clock):
    return Verdicts(ledger=ledger, clock=clock)


def judged(verdicts, *, run="run_1", gates=GATES):
    return verdicts.judge(
        SNAPSHOT, PREDICTIONS, gates, run=run, task="classification", parents=["model_version:delay/3"]
    )


def test_each_gate_gives_a_verdict_with_its_grounds(verdicts):
    beats, no_worse = judged(verdicts)

    assert (beats.gate, beats.reference, beats.passed) == ("beats", "baseline:prior", True)
    assert (no_worse.gate, no_worse.reference, no_worse.passed) == ("no_worse", "champion", True)
    assert (beats.dataset, beats.dataset_version, beats.rows, beats.on, beats.n) == (
        "flights",
        12,
        "sha256:0",
        "forward",
        1_000,
    )
    assert (beats.metric, beats.run, beats.created_at) == ("log_loss", "run_1", NOW)
    assert beats.parents == ("model_version:delay/3", "dataset_version:flights/12")
    assert beats.low <= beats.difference <= beats.high


def test_without_gates_there_are_no_verdicts(verdicts):
    assert judged(verdicts, gates=[]) == ()


def test_verdicts_are_found_again_by_model_and_run(verdicts, clock):
    first = judged(verdicts, run="run_1")
    clock.advance("1d")
    second = judged(verdicts, run="run_2")
    other = judged(verdicts, run="run_3")

    verdicts.save(second, model="delay")
    verdicts.save(first, model="delay")
    verdicts.save(other, model="fare")

    assert verdicts.list(model="delay") == (*first, *second)
    assert verdicts.list(run="run_2") == second
    assert verdicts.list(model="delay", run="run_3") == ()
    assert len(verdicts.list()) == 6


def test_saving_twice_changes_nothing(verdicts):
    made = judged(verdicts)

    verdicts.save(made, model="delay")
    verdicts.save(made, model="delay")

    assert verdicts.list() == made


def test_the_model_is_that_of_the_run(verdicts, ledger):
    run = Run(id="run_1", model="delay", status="running", started_at=NOW, reason="asked")
    with ledger.write() as connection:
        put(
            connection,
            runs,
            id=run.id,
            model=run.model,
            status=run.status,
            started_at=micros(NOW),
            body=to_json(run),
        )

    verdicts.save(judged(verdicts))

    assert len(verdicts.list(model="delay")) == 2


def test_a_run_that_is_unknown_needs_a_model(verdicts):
    with pytest.raises(NotFound, match="No run named 'run_1'"):
        verdicts.save(judged(verdicts))


def test_verdicts_are_kept_with_the_callers_transaction_or_not_at_all(verdicts, ledger):
    def fail():
        with ledger.write() as connection:
            verdicts.save(judged(verdicts), connection, model="delay")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert verdicts.list() == ()


def test_a_verdict_without_values_is_kept_too(verdicts):
    one = Snapshot(dataset="flights", version=1, rows="", y=np.ones(300))
    predictions = {"candidate": GOOD[:300], "champion": GOOD[300:600]}
    gates = [NoWorse("champion", on="roc_auc"), Beats("baseline")]

    made = verdicts.judge(one, predictions, gates, run="run_1", task="classification")
    verdicts.save(made, model="delay")

    assert verdicts.list() == made
    assert [verdict.passed for verdict in made] == [False, False]


def test_scores_are_the_tasks_metrics_of_each_contender(verdicts):
    scores = verdicts.scores(SNAPSHOT, PREDICTIONS, task="classification")

    assert set(scores) == set(PREDICTIONS)
    assert {"log_loss", "roc_auc"} <= set(scores["candidate"])
    assert scores["baseline:prior"]["roc_auc"] == 0.5
    assert verdicts.scores(SNAPSHOT, PREDICTIONS, task="classification", metrics=["f1"])[
        "candidate"
    ].keys() == {"f1"}


def test_a_score_without_a_value_is_left_out(verdicts):
    one = Snapshot(dataset="flights", version=1, rows="", y=np.ones(3))

    scores = verdicts.scores(one, {"candidate": GOOD[:3]}, task="classification")

    assert "roc_auc" not in scores["candidate"]
    assert "log_loss" in scores["candidate"]


def test_no_rows_have_no_scores(verdicts):
    none = Snapshot(dataset="flights", version=1, rows="", y=np.empty(0))

    assert verdicts.scores(none, {"candidate": np.empty(0)}, task="classification") == {"candidate": {}}


def test_regression_is_scored_by_its_own_metrics(verdicts):
    snapshot = Snapshot(dataset="flights", version=1, rows="", y=100 * GOOD)
    predictions = {"candidate": 100 * GOOD + 1, "champion": 100 * GOOD + 3 + RANDOM.normal(size=1_000)}

    (found,) = verdicts.judge(snapshot, predictions, [Beats("champion")], run="run_1", task="regression")

    assert (found.metric, found.passed) == ("rmse", True)
    assert verdicts.scores(snapshot, predictions, task="regression")["candidate"]["rmse"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        (
            {"champion": GOOD[:-1]},
            "predictions of champion are for 999 rows; the forward rows of flights/12 are 1,000",
        ),
        ({"champion": np.where(GOOD < 0.5, np.nan, GOOD)}, "predictions of champion hold nan"),
        ({"champion": GOOD + 1}, "predictions of champion cannot be scored.*Expected a probability"),
    ],
)
def test_predictions_that_do_not_fit_are_refused_by_the_contenders_name(verdicts, changed, text):
    with pytest.raises(InvalidInput, match=text) as caught:
        verdicts.judge(
            SNAPSHOT, PREDICTIONS | changed, [Beats("champion")], run="run_1", task="classification"
        )

    assert caught.value.field == "champion"


def test_there_must_be_a_candidate(verdicts):
    with pytest.raises(InvalidInput, match="nothing to judge: the contenders are champion"):
        verdicts.judge(SNAPSHOT, {"champion": GOOD}, [], run="run_1", task="classification")


def test_an_unknown_task_is_named(verdicts):
    with pytest.raises(NotFound, match="No task plug-in named 'painting'"):
        verdicts.scores(SNAPSHOT, PREDICTIONS, task="painting")
