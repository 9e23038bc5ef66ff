"""What runs and versions are in MLflow's words: keys it takes, values of its lengths, batches of its sizes."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from treadle.core.ids import digest_of_bytes
from treadle.registry.mirror import MirroredRun, MirroredVersion, Point

#: By the first of these tags what was told is found again.
RUN, VERSION, PROJECT = "treadle.run", "treadle.version", "treadle.project"
#: The most that a server takes in one batch, and of each value (mlflow/utils/validation.py of 3.17).
_METRICS, _OTHERS, _KEY, _PARAM, _TAG, _DATASET = 1000, 100, 250, 6000, 8000, 500
_FOREIGN = re.compile(r"[^/\w.\- :]")
_STATUS = {"running": "RUNNING", "finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


def key(name: str) -> str:
    """Return the name under which MLflow takes a parameter, metric or tag: the same, or one close to it that is as unique.

    >>> key("test.candidate.log_loss"), key("loss %")
    ('test.candidate.log_loss', 'loss _-5bed022e')
    """
    plain = _FOREIGN.sub("_", name)
    path = posixpath.normpath(plain)
    if plain == name == path and not path.startswith((".", "/")) and len(name) <= _KEY:
        return name
    cleared = plain.strip("./")[: _KEY - 10].replace("/", "_")
    return f"{cleared}-{digest_of_bytes(name.encode())[7:15]}"


def millis(at: datetime) -> int:
    """Return a moment as MLflow keeps it."""
    return round(at.timestamp() * 1000)


def creation(run: MirroredRun, experiment: str) -> dict[str, Any]:
    """Return the request that makes a run."""
    held = {
        RUN: run.id,
        PROJECT: run.project,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": run.project,
    }
    if run.parent:
        held["mlflow.parentRunId"] = run.parent
    return {
        "experiment_id": experiment,
        "run_name": run.name,
        "user_id": "treadle",
        "start_time": millis(run.started_at),
        "tags": tags(held),
    }


def ending(remote: str, run: MirroredRun) -> dict[str, Any]:
    """Return the request that says how far a run is."""
    end = {} if run.finished_at is None else {"end_time": millis(run.finished_at)}
    return {"run_id": remote, "status": _STATUS[run.status], "run_name": run.name, **end}


def batches(remote: str, run: MirroredRun, points: Iterable[Point]) -> Iterator[dict[str, Any]]:
    """Return the requests that log tags, parameters and metrics of a run."""
    held = dict(run.tags)
    if run.note:
        held["mlflow.note.content"] = run.note
    if run.commit:
        held["mlflow.source.git.commit"] = run.commit
    for kind, values in (
        ("tags", tags(held)),
        ("params", [{"key": key(name), "value": value[:_PARAM]} for name, value in run.params.items()]),
    ):
        for some in _some(values, _OTHERS):
            yield {"run_id": remote, kind: some}
    for some in _some(_metrics(run, list(points)), _METRICS):
        yield {"run_id": remote, "metrics": some}


def inputs(remote: str, run: MirroredRun) -> dict[str, Any]:
    """Return the request that names the dataset versions which a run read."""
    datasets = [
        {
            "tags": [{"key": "mlflow.data.context", "value": "training"}],
            "dataset": {
                "name": name[:_DATASET],
                "digest": f"version {version}",
                "source_type": "treadle",
                "source": f'{{"reference": "dataset_version:{name}/{version}"}}',
            },
        }
        for name, version in run.data.items()
    ]
    return {"run_id": remote, "datasets": datasets}


def version(told: MirroredVersion, source: str) -> dict[str, Any]:
    """Return the request that makes a model version."""
    one = told.version
    held = {VERSION: f"{one.model}/{one.version}", RUN: one.run, PROJECT: told.project, **told.tags}
    return {
        "name": one.model,
        "source": source,
        "run_id": told.run,
        "description": told.note,
        "tags": tags(held),
    }


def tags(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as a server takes them."""
    return [{"key": key(name), "value": value[:_TAG]} for name, value in values.items()]


def _metrics(run: MirroredRun, points: list[Point]) -> list[dict[str, Any]]:
    """Return metrics by step, then the values that count: each at its metric's last step, so that MLflow shows it as the latest."""
    last: dict[str, int] = {}
    for point in points:
        last[point.name] = max(last.get(point.name, 0), point.step)
    shown = [_metric(p.name, p.value, p.step, p.at) for p in points]
    at = run.finished_at or run.started_at
    return shown + [_metric(name, value, last.get(name, 0), at) for name, value in run.metrics.items()]


def _metric(name: str, value: float | None, step: int, at: datetime) -> dict[str, Any]:
    # JSON has no such number: MLflow reads it as a text, as protobuf does.
    number = value if value is not None and math.isfinite(value) else "NaN"
    return {"key": key(name), "value": number, "timestamp": millis(at), "step": step}


def _some(values: list[Any], most: int) -> Iterator[list[Any]]:
    for first in range(0, len(values), most):
        yield values[first : first + most]
