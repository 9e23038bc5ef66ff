"""A run's candidate: from one training or from a search, started again where its process or its machine dies."""

from __future__ import annotations

from typing import Protocol

from treadle.core.clock import parse_span
from treadle.core.errors import RunCrashed, RunPreempted
from treadle.core.records import Run
from treadle.loop import fitting
from treadle.loop.cancelling import cancellable
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.loop.searching import Searching
from treadle.training.jobs import Job
from treadle.training.resources import Resources, place_after


class Jobs(Protocol):
    """Says how an engine starts the training of a run."""

    def __call__(self, model: Model, run: Run, place: Resources, worker: str = "") -> Job:
        """Return the job of a run's only training, or of the worker of a name that takes trials of its search."""
        ...


def candidate(model: Model, run: Run, rooms: Rooms, *, jobs: Jobs) -> tuple[Run, fitting.Fitted]:
    """Train a run's candidate; return it with the run, which may have come to a later attempt.

    Raises:
        RunCancelled: somebody cancelled it.
        RunFailed: the training function failed, took too long, or its process died too often.
        StoreUnavailable: a store does not answer; the run can go on when it is back.
        LeaseLost: somebody else goes on with the run.
    """
    with cancellable(run, rooms):
        if model.search is not None:
            searching = Searching(
                model, run, rooms, jobs=lambda worker, place: jobs(model, run, place, worker=worker)
            )
            return run, searching.best()
        return _trained(model, run, rooms, jobs)


def _trained(model: Model, run: Run, rooms: Rooms, jobs: Jobs) -> tuple[Run, fitting.Fitted]:
    losses, died, saved = 0, 0, rooms.runs.progress(run)
    while True:
        try:
            return run, _train_once(model, run, rooms, jobs(model, run, place_after(losses, model.resources)))
        except RunCrashed as error:
            now = rooms.runs.progress(run)
            died, saved = (0 if now > saved else died) + 1, now
            losses += isinstance(error, RunPreempted)
            if died > rooms.retries:
                raise
            rooms.progress.step(f"{error} Starting it again")
            run = rooms.runs.resume(run)


def _train_once(model: Model, run: Run, rooms: Rooms, job: Job) -> fitting.Fitted:
    folder = rooms.runs.folder(run.id)
    limit = parse_span(model.timeout or rooms.timeout).total_seconds()
    return fitting.fitted_by(
        lambda: rooms.engine.run(job, log=folder / "log.txt", timeout=limit),
        folder,
    )
