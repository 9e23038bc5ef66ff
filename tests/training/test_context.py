"""The run as the training function sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from treadle.core.errors import InvalidInput
from treadle.training.context import RunContext
from treadle.training.runs import Runs


def test_the_run_is_told_to_the_function(runs: Runs) -> None:
    run = runs.resume(runs.start("delay", reason="", seed=7, params={"depth": 3}))

    context = RunContext(run=run, runs=runs)

    assert (context.id, context.seed, context.params, context.attempt) == (run.id, 7, {"depth": 3}, 2)


def test_scratch_files_have_a_folder_apart_from_the_log(runs: Runs) -> None:
    run = runs.start("delay", reason="")

    (RunContext(run=run, runs=runs).folder / "log.txt").write_text("mine")

    assert runs.log(run.id) == ""


def test_a_later_attempt_goes_on_from_the_checkpoint(runs: Runs) -> None:
    run = runs.start("delay", reason="")
    first = RunContext(run=run, runs=runs)
    assert first.checkpoint() is None
    first.log_metric("loss", 0.5, step=1)
    first.save_checkpoint({"epoch": 1})

    second = RunContext(run=runs.resume(run), runs=runs)

    assert second.checkpoint() == {"epoch": 1}
    assert second.last_metrics() == {"loss": 0.5}


@pytest.mark.parametrize("value", ["high", None, [1.0]])
def test_a_metric_that_is_no_number_is_refused(tmp_path: Path, value: object) -> None:
    context = RunContext.detached(folder=tmp_path)

    with pytest.raises(InvalidInput, match="The metric 'loss' is"):
        context.log_metric("loss", value)  # type: ignore[arg-type]


def test_a_metric_that_diverged_does_not_stop_the_run(tmp_path: Path) -> None:
    context = RunContext.detached(folder=tmp_path)

    context.log_metric("loss", 0.5, step=1)
    context.log_metric("loss", float("inf"), step=2)

    assert context.last_metrics() == {"loss": 0.5}


def test_a_detached_run_works_without_any_store(tmp_path: Path) -> None:
    context = RunContext.detached(folder=tmp_path / "new", seed=3, params={"a": 1})

    context.save_checkpoint({"epoch": 4})

    assert context.checkpoint() == {"epoch": 4}
    assert (context.seed, context.params, context.attempt) == (3, {"a": 1}, 1)
    assert context.folder.is_dir()
