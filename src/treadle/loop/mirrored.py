"""Runs, trials and versions as a tracker elsewhere is told of them: pure, from records to records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import polars as pl

from treadle.core.records import ModelVersion, Run, Verdict, Window
from treadle.registry.mirror import MirroredRun, MirroredVersion, Point
from treadle.training.trials import UNDER_WAY, Trial

Status = Literal["running", "finished", "failed", "killed"]
_RUNS: dict[str, Status] = {"running": "running", "failed": "failed"}
_TRIALS: dict[str, Status] = {"succeeded": "finished", "failed": "failed"}


def of_run(run: Run, verdicts: Iterable[Verdict], *, project: str) -> MirroredRun:
    """Return what a tracker is told of a run."""
    judged = list(verdicts)
    return MirroredRun(
        id=run.id,
        project=project,
        model=run.model,
        name=run.id,
        status=_RUNS.get(run.status, "finished"),
        started_at=run.started_at,
        finished_at=run.finished_at,
        params={} if run.status == "running" else _params(run.params),
        metrics=run.metrics,
        tags={**_tags(run), **{_verdict_key(v): _verdict(v) for v in judged}},
        note=_note(run, judged),
        commit=run.code.commit if run.code else "",
        data=run.data,
    )


def of_trial(trial: Trial, run: Run, *, parent: str, project: str) -> MirroredRun:
    """Return what a tracker is told of a trial; one that was under way when its run ended was given up."""
    value = {} if trial.value is None else {"value": trial.value}
    return MirroredRun(
        id=f"{trial.run}/{trial.number}",
        project=project,
        model=run.model,
        name=f"trial {trial.number}",
        parent=parent,
        status=_TRIALS.get(trial.state, "killed"),
        started_at=trial.started_at,
        finished_at=trial.finished_at or run.finished_at,
        params=_params(trial.params or {}),
        metrics={**trial.metrics, **value},
        tags=_without_empty(
            {
                "treadle.trial": str(trial.number),
                "treadle.state": "given up" if trial.state in UNDER_WAY else trial.state,
                "treadle.window": trial.window,
                "treadle.attempts": str(trial.attempts),
                "treadle.seconds": f"{trial.seconds:.3f}",
                "treadle.best": "yes" if run.trial == trial.number else "",
                "treadle.error": trial.error,
            }
        ),
        note=trial.error,
    )


def of_version(version: ModelVersion, *, remote_run: str, project: str) -> MirroredVersion:
    """Return what a tracker is told of a version."""
    collected = version.collected_at
    return MirroredVersion(
        project=project,
        version=version,
        run=remote_run,
        tags=_without_empty(
            {
                "treadle.digest": version.digest,
                "treadle.format": version.format,
                "treadle.task": version.task,
                "treadle.data": f"{version.dataset}/{version.dataset_version}",
                "treadle.window": _window(version.window),
                "treadle.collected": collected.isoformat() if collected else "",
            }
        ),
        note="\n".join(version.notes),
    )


def points(history: pl.DataFrame) -> list[Point]:
    """Return the rows of `Runs.metrics`; those without a step are numbered by their metric, from 0."""
    numbered = history.with_columns(
        pl.coalesce(pl.col("step"), pl.int_range(pl.len()).over("name", pl.col("step").is_null())).alias(
            "step"
        )
    )
    return [
        Point(name=name, step=step, value=None if value != value else value, at=at)
        for name, step, value, at in numbered.select("name", "step", "value", "at").iter_rows()
    ]


def steps(trial: Trial) -> list[Point]:
    """Return what a trial reported on the way, as the metric `value`."""
    at = trial.finished_at or trial.started_at
    return [Point(name="value", step=step, value=value, at=at) for step, value in trial.steps]


def _tags(run: Run) -> dict[str, str]:
    data = {f"treadle.data.{name}": str(version) for name, version in run.data.items()}
    return _without_empty(
        {
            "treadle.model": run.model,
            "treadle.status": run.status,
            "treadle.reason": run.reason,
            "treadle.window": _window(run.window),
            "treadle.forward": _window(run.forward),
            "treadle.origin": run.origin.told() if run.origin else "",
            "treadle.seed": str(run.seed),
            "treadle.attempts": str(run.attempts),
            "treadle.code": run.code.digest if run.code else "",
            "treadle.environment": run.environment,
            "treadle.version": f"{run.model}/{run.model_version}" if run.model_version else "",
            "treadle.best_trial": "" if run.trial is None else str(run.trial),
            "treadle.error": run.error,
            **data,
        }
    )


def _note(run: Run, verdicts: Sequence[Verdict]) -> str:
    return "\n\n".join([run.reason, *(v.reason for v in verdicts), *([run.error] if run.error else [])])


def _verdict_key(verdict: Verdict) -> str:
    parts = (verdict.gate, verdict.reference, verdict.metric, verdict.on, verdict.slice)
    return "treadle.verdict." + ".".join(part for part in parts if part)


def _verdict(verdict: Verdict) -> str:
    return f"{'passed' if verdict.passed else 'FAILED'}: {verdict.reason}"


def _window(window: Window | None) -> str:
    if window is None:
        return ""
    return f"{window.start.isoformat() if window.start else 'the beginning'} to {window.end.isoformat()}"


def _params(values: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in values.items()
    }


def _without_empty(values: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
