"""Makes a recorded run's training again, and says whether the numbers are the same or what differs.

Nothing is registered, no alias moves, and no run is recorded: what the training leaves is compared and thrown away.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from treadle.core.clock import parse_span
from treadle.core.errors import Conflict, InvalidInput, NotFound, TreadleError
from treadle.core.records import ModelVersion, Record, Run, from_json, to_json
from treadle.loop import fitting, rescoring
from treadle.loop.fitting import Fitted
from treadle.loop.judging import CANDIDATE
from treadle.loop.models import Model
from treadle.loop.rescoring import Answered
from treadle.loop.rooms import Rooms
from treadle.registry import packages
from treadle.store.objects.objects import Objects
from treadle.training import code, environment
from treadle.training.checkpoints import State
from treadle.training.jobs import Job
from treadle.training.runs import Runs

#: Folder of the trainings that are made again, relative to the project.
FOLDER = Path(".treadle", "reruns")
RUN, LOG = "run.json", "log.txt"
#: Seconds after which a rerun whose machine is gone may be begun again.
LEASE = 60.0


class Change(Record, frozen=True, kw_only=True):
    """Something that was one way when the run was made, and is another way now; None: it was not there."""

    name: str
    before: float | str | None
    now: float | str | None


class Rerun(Record, frozen=True, kw_only=True):
    """What making a run again came to."""

    run: str
    model: str
    #: The version that the run made, if it came so far.
    version: int | None
    #: Every number that can be compared is the same to the bit.
    same: bool
    #: The packages are the same to the last byte; None: the run's is not there to be compared with.
    identical: bool | None
    #: Metrics that were compared, and those that differ.
    compared: int
    metrics: tuple[Change, ...] = ()
    #: Test rows that both packages answered, on how many the answers differ, and the largest difference.
    rows: int = 0
    rows_off: int = 0
    largest: float = 0.0
    #: What has changed in the code since, as a unified diff; empty: nothing, or see `notes`.
    code: str = ""
    #: Python, platform and packages whose versions have changed since.
    environment: tuple[Change, ...] = ()
    #: What could not be compared, and why the numbers may differ, as sentences.
    notes: tuple[str, ...] = ()


class Unrecorded(Runs):
    """Runs whose files lie in one folder, and whose checkpoints are not kept."""

    def __init__(self, folder: Path, rooms: Rooms) -> None:
        super().__init__(ledger=rooms.ledger, objects=rooms.objects, clock=rooms.clock, root=rooms.root)
        self._folder = folder
        self._states: list[State] = []

    def folder(self, run: str) -> Path:  # noqa: ARG002 - it keeps one run only
        """Return the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def save_checkpoint(self, run: Run, state: State) -> int:  # noqa: ARG002 - it keeps one run only
        """Keep a state in memory and return its number."""
        self._states.append(dict(state))
        return len(self._states)

    def checkpoint(self, run: str) -> State | None:  # noqa: ARG002 - it keeps one run only
        """Return the newest state."""
        return self._states[-1] if self._states else None


def aside(rooms: Rooms, folder: Path) -> Rooms:
    """Return rooms in which a training leaves its package and its files in a folder, and nothing elsewhere."""
    return replace(
        rooms, runs=Unrecorded(folder, rooms), objects=Objects.open("objects", root=folder, options={})
    )


def kept_run(folder: Path) -> Run:
    """Return the run that is made again in a folder."""
    return from_json((folder / RUN).read_bytes(), Run)


class Reruns:
    """Makes runs again."""

    def __init__(self, rooms: Rooms, *, jobs: Callable[[Model, Path], Job]) -> None:
        """Take the rooms, and `jobs(model, folder) -> Job`, which says how the engine starts the training."""
        self._rooms, self._jobs = rooms, jobs

    def rerun(self, run: str) -> Rerun:
        """Train a run again with its data versions, window, parameters and seed, and compare.

        Raises:
            NotFound: there is no such run or its model is no longer declared, or a dataset version that it read is gone.
            Conflict: it is under way, or somebody else makes it again now.
            RunFailed: its training failed now.
        """
        rooms = self._rooms
        first = rooms.runs.get(run)
        model = self._check(first)
        folder = rooms.root / FOLDER / first.id
        with rooms.ledger.lease(f"rerun/{first.id}", holder="treadle rerun", ttl=LEASE, clock=rooms.clock):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            try:
                return self._compared(model, first, self._train(model, first, folder), folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _check(self, run: Run) -> Model:
        if run.status == "running":
            msg = f"Run {run.id} is under way or was interrupted. Let it end first: treadle run {run.model}"
            raise Conflict(msg)
        if run.origin is not None:
            msg = f"Run {run.id} trained nothing: its model was {run.origin.told()}. Import it again: treadle models import"
            raise InvalidInput(msg)
        if run.window is None or not run.data:
            msg = f"Run {run.id} has no window and no data, so there is nothing to train it on again."
            raise InvalidInput(msg)
        model = self._rooms.project.model(run.model)
        for name, number in run.data.items():
            try:
                if name in {tree.name for tree in model.trees}:
                    self._rooms.trees.version(name, number)
                else:
                    self._rooms.datasets.scan(name, version=number)
            except NotFound as error:
                msg = f"Run {run.id} read version {number} of {name!r}, which is no longer there: {error}"
                raise NotFound(msg) from error
        return model

    def _train(self, model: Model, first: Run, folder: Path) -> Fitted:
        rooms, made = self._rooms, self._version(first)
        changes: dict[str, Any] = {"status": "running", "finished_at": None, "attempts": 1, "metrics": {}}
        if made is not None:
            changes["window"] = made.window
        (folder / RUN).write_text(to_json(msgspec.structs.replace(first, **changes)), encoding="utf-8")
        rooms.progress.step(f"train {model.name} again, as in {first.id}")
        limit = parse_span(model.timeout or rooms.timeout).total_seconds()
        return fitting.fitted_by(
            lambda: rooms.engine.run(self._jobs(model, folder), log=folder / LOG, timeout=limit), folder
        )

    def _version(self, run: Run) -> ModelVersion | None:
        return (
            None if run.model_version is None else self._rooms.models.get(f"{run.model}/{run.model_version}")
        )

    def _compared(self, model: Model, first: Run, fitted: Fitted, folder: Path) -> Rerun:
        rooms, before = self._rooms, self._version(first)
        again = _unregistered(model, first, fitted, at=first.started_at)
        servable = packages.load(
            again.digest,
            objects=Objects.open("objects", root=folder, options={}),
            cache=folder / "cache",
            allow_pickle=model.allow_pickle,
        )
        parts = rescoring.answered(model, first, again, servable, rooms)
        metrics = fitted.metrics | self._scores(model, parts)
        known = {name: value for name, value in first.metrics.items() if name in metrics}
        changed = tuple(
            Change(name=name, before=value, now=metrics[name])
            for name, value in known.items()
            if metrics[name] != value
        )
        notes = [*self._unlike(model, first, parts)]
        answers = self._answers(model, first, before, parts, notes)
        return Rerun(
            run=first.id,
            model=model.name,
            version=first.model_version,
            same=bool(known) and not changed and not answers["rows_off"],
            identical=None if before is None else before.digest == again.digest,
            compared=len(known),
            metrics=changed,
            code=self._code(model, first, notes),
            environment=self._environment(first, notes),
            notes=tuple(notes),
            **answers,
        )

    def _scores(self, model: Model, parts: Mapping[str, Answered]) -> dict[str, float]:
        return {
            f"{on}.{contender}.{metric}": value
            for on, part in parts.items()
            for contender, found in self._rooms.verdicts.scores(
                part.snapshot, part.predictions, task=model.task
            ).items()
            for metric, value in found.items()
        }

    def _unlike(self, model: Model, first: Run, parts: Mapping[str, Answered]) -> list[str]:
        """Say what else than chance may make the numbers differ."""
        notes = []
        if first.status == "failed":
            notes.append(f"The run failed then ({first.error}); its training went through now.")
        judged = {verdict.rows for verdict in self._rooms.verdicts.list(run=first.id) if verdict.on == "test"}
        if judged and "test" in parts and parts["test"].snapshot.rows not in judged:
            notes.append(
                f"The test rows of {model.data.name!r} are not those that it was judged on: rows were forgotten or the "
                "declaration of the split changed."
            )
        return notes

    def _answers(
        self,
        model: Model,
        first: Run,
        before: ModelVersion | None,
        parts: Mapping[str, Answered],
        notes: list[str],
    ) -> dict[str, Any]:
        none: dict[str, Any] = {"rows": 0, "rows_off": 0, "largest": 0.0}
        if before is None or "test" not in parts:
            return none
        try:
            servable = self._rooms.models.load(before)
            then = rescoring.answered(model, first, before, servable, self._rooms)["test"]
        except TreadleError as error:
            notes.append(f"Answers could not be compared row by row: {error}")
            return none
        off = np.abs(parts["test"].predictions[CANDIDATE] - then.predictions[CANDIDATE])
        wrong = off.reshape(len(off), -1).max(axis=1) > 0
        return {"rows": len(off), "rows_off": int(wrong.sum()), "largest": float(off.max())}

    def _code(self, model: Model, first: Run, notes: list[str]) -> str:
        recorded, rooms = first.code, self._rooms
        if recorded is None or code.digest(model.function, root=rooms.root) == recorded.digest:
            return ""
        try:
            changes = code.changes(recorded, model.function, root=rooms.root, objects=rooms.objects)
            found = "".join(changes.values())
        except TreadleError as error:
            found = ""
            notes.append(f"The recorded code could not be read: {error}")
        if not found:
            notes.append("The code has changed since, and what it was cannot be made out any more.")
        return found

    def _environment(self, first: Run, notes: list[str]) -> tuple[Change, ...]:
        if not first.environment:
            return ()
        try:
            then = json.loads(self._rooms.objects.get(first.environment))
        except TreadleError as error:
            notes.append(f"The recorded environment could not be read: {error}")
            return ()
        return tuple(_changes(_flat(then), _flat(environment.describe())))


def _unregistered(model: Model, run: Run, fitted: Fitted, *, at: Any) -> ModelVersion:
    """Return what was fitted as a version that has no number and is nowhere registered."""
    assert run.window is not None
    package = fitted.package
    return ModelVersion(
        model=model.name,
        version=0,
        created_at=at,
        task=package.task,
        format=package.format,
        digest=package.digest,
        size=package.size,
        signature=package.signature,
        run=run.id,
        dataset=model.data.name,
        dataset_version=run.data[model.data.name],
        window=run.window,
        baselines=fitted.baselines,
    )


def _flat(described: Mapping[str, Any]) -> dict[str, str]:
    plain = {name: str(value) for name, value in described.items() if name != "packages"}
    return plain | dict(described.get("packages", {}))


def _changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[Change]:
    return [
        Change(name=name, before=then.get(name), now=now.get(name))
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
