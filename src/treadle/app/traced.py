"""The way back from a prediction: to the revision that answered, its version, the run, and what that was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from treadle.core.errors import NotFound
from treadle.core.records import DatasetVersion, ModelVersion, Record, Revision, Run

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


class Trace(Record, frozen=True, kw_only=True):
    """What a prediction was made by, as far back as it goes."""

    #: The row of the prediction log, with the columns of `serving.frames.PREDICTIONS`; its inputs are decoded.
    prediction: dict[str, Any]
    revision: Revision | None = None
    version: ModelVersion | None = None
    run: Run | None = None
    #: The datasets and feature views that the run read, the model's own dataset first.
    datasets: tuple[DatasetVersion, ...] = ()
    #: Rows that it was trained on; None: that is not on record.
    rows: int | None = None
    #: Python, platform and packages of the run.
    environment: dict[str, Any] = msgspec.field(default_factory=dict)
    #: What is not to be had any more, and why.
    missing: tuple[str, ...] = ()


def trace(workspace: Workspace, prediction: str, *, endpoint: str = "") -> Trace:
    """Follow a prediction back.

    Raises:
        NotFound: no log has it.
    """
    endpoints = [endpoint] if endpoint else _endpoints(workspace)
    row = workspace.predictions.find(prediction, endpoints)
    if row is None:
        msg = (
            f"No prediction {prediction!r} is in the log of {', '.join(endpoints) or 'any endpoint'}. It may not have been logged "
            "(serving.sample), have been removed by age (serving.keep_predictions), or wait on another machine."
        )
        raise NotFound(msg)
    missing: list[str] = []
    found: dict[str, Any] = {"prediction": {**row, "inputs": msgspec.json.decode(row["inputs"] or "{}")}}
    try:
        found["revision"] = workspace.endpoints.revision(row["endpoint"], row["revision"])
        found["version"] = version = workspace.models.get(f"{row['model']}/{row['version']}")
        found["run"] = run = workspace.runs.get(version.run)
        found |= _made_from(workspace, version, run, missing)
    except NotFound as error:
        missing.append(str(error))
    return Trace(**found, missing=tuple(missing))


def _made_from(workspace: Workspace, version: ModelVersion, run: Run, missing: list[str]) -> dict[str, Any]:
    datasets = []
    own_first = sorted(run.data.items(), key=lambda one: one[0] != version.dataset)
    for name, number in own_first:
        try:
            datasets.append(workspace.datasets.version(name, number))
        except NotFound as error:  # a tree of files, or collected
            missing.append(str(error))
    found: dict[str, Any] = {"datasets": tuple(datasets)}
    trained = next((step for step in workspace.steps.of_run(run.id) if step.step == "train"), None)
    if trained is not None:
        found["rows"] = trained.value.get("rows")
    try:
        if run.environment:
            found["environment"] = msgspec.json.decode(workspace.objects.get(run.environment))
    except NotFound as error:
        missing.append(str(error))
    return found


def _endpoints(workspace: Workspace) -> list[str]:
    """Return the endpoints that may have answered: those that there are, and those that have a log."""
    return sorted({*workspace.endpoints.names(), *workspace.predictions.endpoints()})
