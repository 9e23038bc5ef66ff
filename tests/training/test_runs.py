"""Runs: started, interrupted, gone on with, ended once, sealed whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection

from treadle.core.clock import ManualClock
from treadle.core.errors import Conflict, InvalidInput, LeaseLost, NotFound, StoreUnavailable
from treadle.core.records import Code, Window
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training.context import RunContext
from treadle.training.runs import Runs


def write_log(runs: Runs, run: str, text: str) -> None:
    (runs.folder(run) / "log.txt").write_text(text, encoding="utf-8")


def test_a_started_run_is_found_with_all_that_was_said(runs: Runs, clock: ManualClock) -> None:
    window = Window(start=None, end=datetime(2013, 2, 1, tzinfo=UTC))

    run = runs.start(
        "delay",
        reason="by hand",
        data={"flights": 3},
        window=window,
        seed=7,
        params={"depth": 3},
        turn="t",
        code=Code(digest="sha256:1"),
        environment="sha256:2",
        parents=("dataset_version:flights/3",),
    )

    assert runs.get(run.id) == run
    assert (run.status, run.started_at, run.attempts) == ("running", clock.now(), 1)
    assert runs.running("delay") == run
    assert runs.running("other") is None


def test_what_is_to_be_kept_with_a_run_is_part_of_its_start(runs: Runs) -> None:
    def fails(_: Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        runs.start("delay", reason="by hand", also=fails)

    assert runs.list() == []


def test_an_unknown_run_says_where_to_look(runs: Runs) -> None:
    with pytest.raises(NotFound, match="treadle runs"):
        runs.get("run_x")


def test_runs_are_listed_newest_first(runs: Runs) -> None:
    first, second = runs.start("a", reason=""), runs.start("b", reason="")
    third = runs.start("a", reason="")
    runs.fail(first, error="x")

    assert [run.id for run in runs.list()] == [third.id, second.id, first.id]
    assert [run.id for run in runs.list(model="a")] == [third.id, first.id]
    assert [run.id for run in runs.list(status="failed")] == [first.id]
    assert [run.id for run in runs.list(limit=1)] == [third.id]


def test_an_interrupted_run_goes_on_under_its_id(runs: Runs) -> None:
    run = runs.start("delay", reason="")
    RunContext(run=run, runs=runs).log_metric("loss", 0.5, step=1)

    again = runs.resume(run)
    RunContext(run=again, runs=runs).log_metric("loss", 0.25, step=2)

    assert (again.id, again.attempts) == (run.id, 2)
    assert runs.metrics(run.id)["value"].to_list() == [0.5, 0.25]


def test_only_one_goes_on_with_a_run(runs: Runs) -> None:
    run = runs.start("delay", reason="")
    runs.resume(run)

    with pytest.raises(LeaseLost, match="in attempt 2; this is attempt 1"):
        runs.resume(run)


def test_an_earlier_attempt_can_neither_end_the_run_nor_save_a_state(runs: Runs) -> None:
    run = runs.start("delay", reason="")
    runs.resume(run)

    with pytest.raises(LeaseLost):
        runs.finish(run, status="succeeded")
    with pytest.raises(LeaseLost):
        runs.save_checkpoint(run, {"epoch": 1})
    assert runs.checkpoint(run.id) is None


def test_finished_runs_keep_finite_metrics(runs: Runs) -> None:
    run = runs.start("delay", reason="")

    done = runs.finish(run, status="succeeded", model_version=3, metrics={"loss": 0.5, "bad": float("nan")})

    assert runs.get(run.id) == done
    assert (done.status, done.model_version, done.metrics) == ("succeeded", 3, {"loss": 0.5})
    assert runs.running("delay") is None


def test_metrics_default_to_those_logged(runs: Runs) -> None:
    run = runs.start("delay", reason="")
    context = RunContext(run=run, runs=runs)
    context.log_metric("loss", 0.5, step=1)
    context.log_metric("loss", 0.25, step=2)

    assert runs.fail(run, error="x").metrics == {"loss": 0.25}


def test_ending_again_in_the_same_way_changes_nothing(runs: Runs, clock: ManualClock) -> None:
    run = runs.start("delay", reason="")
    done = runs.finish(run, status="rejected")
    clock.advance("1h")

    assert runs.finish(run, status="rejected") == done
    with pytest.raises(Conflict, match="rejected already; it cannot become succeeded"):
        runs.finish(run, status="succeeded")


def test_the_end_is_part_of_the_callers_transaction(runs: Runs, ledger: Ledger) -> None:
    run = runs.start("delay", reason="")

    with pytest.raises(ZeroDivisionError), ledger.write() as connection:
        raise ZeroDivisionError(runs.finish(run, status="succeeded", metrics={}, connection=connection))

    assert runs.get(run.id).status == "running"


def test_a_sealed_run_reads_as_it_did_before(runs: Runs) -> None:
    run = runs.start("delay", reason="")
    write_log(runs, run.id, "hello – ü\n")
    RunContext(run=run, runs=runs).log_metric("loss", 0.5, step=1)
    before = (runs.log(run.id), runs.metrics(run.id).rows())

    sealed = runs.fail(run, error="it broke", traceback="Traceback …")

    assert (runs.log(run.id), runs.metrics(run.id).rows()) == before
    assert sealed == runs.get(run.id)
    assert sealed.log.startswith("sha256:")
    assert sealed.history.startswith("sha256:")
    assert (sealed.error, sealed.traceback) == ("it broke", "Traceback …")


def test_sealing_again_changes_nothing(runs: Runs, tmp_path: Path) -> None:
    run = runs.start("delay", reason="")
    write_log(runs, run.id, "x")
    sealed = runs.fail(run, error="")

    assert runs.seal(sealed) == sealed
    assert list((tmp_path / ".treadle" / "runs").iterdir()) == []


def test_a_run_under_way_is_not_sealed(runs: Runs) -> None:
    with pytest.raises(InvalidInput, match="finish it first"):
        runs.seal(runs.start("delay", reason=""))


def test_a_run_killed_before_it_was_sealed_is_sealed_by_the_next(runs: Runs, tmp_path: Path) -> None:
    run = runs.start("delay", reason="")
    write_log(runs, run.id, "hello")
    runs.finish(run, status="succeeded")

    runs.start("other", reason="")

    assert not (tmp_path / ".treadle" / "runs" / run.id).exists()
    assert runs.get(run.id).log.startswith("sha256:")
    assert runs.log(run.id) == "hello"


def test_a_run_without_a_log_has_an_empty_one(runs: Runs) -> None:
    run = runs.start("delay", reason="")

    assert runs.log(run.id) == ""
    assert runs.log(runs.fail(run, error="x").id) == ""
    assert runs.metrics(run.id).is_empty()


def test_objects_that_cannot_be_written_leave_the_folder_for_later(
    ledger: Ledger, clock: ManualClock, tmp_path: Path
) -> None:
    (tmp_path / "blocked").write_text("a file where a folder is wanted")
    blocked = Objects.open("blocked", root=tmp_path, options={})
    runs = Runs(ledger=ledger, objects=blocked, clock=clock, root=tmp_path)
    run = runs.start("delay", reason="")
    write_log(runs, run.id, "hello")

    with pytest.raises(StoreUnavailable):
        runs.fail(run, error="x")

    assert runs.get(run.id).status == "failed"
    assert runs.log(run.id) == "hello"
