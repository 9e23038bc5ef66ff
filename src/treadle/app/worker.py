"""The process in which a training function runs: opens the workspace, fits one candidate, and ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.core.errors import LeaseLost, RunPreempted, StoreUnavailable, TreadleError
from treadle.core.records import Run
from treadle.core.settings import as_environment
from treadle.loop.fitting import FAILURE, RESULT, fit, leave
from treadle.loop.models import Model
from treadle.loop.trying import Worker
from treadle.training.jobs import Job
from treadle.training.notice import STATUS, notices
from treadle.training.resources import Resources
from treadle.training.runs import FOLDER, METRICS

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def job(workspace: Workspace, model: Model, run: Run, place: Resources, worker: str = "") -> Job:
    """Return the job that fits a candidate: a command for engines that start processes, a call for the others.

    With a worker's name it takes trials of the run's search instead, until none is left.
    """
    rooms, folder = workspace.rooms, Path(workspace.root, FOLDER, run.id)
    tail = [worker, str(place.price)] if worker else []

    def call() -> None:
        if worker:
            Worker(model, run, rooms, name=worker, price=place.price).work()
        else:
            fit(model, run, rooms)

    return Job(
        command=[sys.executable, "-m", "treadle.app.worker", str(workspace.root), run.id, *tail],
        call=call,
        run=run.id,
        cwd=workspace.root,
        environment=as_environment(workspace.overrides),
        resources=place,
        leaves=[folder / "workers" / worker / FAILURE]
        if worker
        else [folder / name for name in (RESULT, FAILURE, METRICS)],
    )


def main(root: str, run_id: str, worker: str = "", price: str = "0") -> int:
    """Fit the candidate of one run, or take trials of its search; return the process's exit code."""
    from treadle.app.workspace import open_workspace

    folder = Path(root, FOLDER, run_id, "workers", worker) if worker else Path(root, FOLDER, run_id)
    try:
        with open_workspace(Path(root)) as workspace, notices() as notice:
            run = workspace.runs.get(run_id)
            model = workspace.project.model(run.model)
            if worker:
                Worker(model, run, workspace.rooms, name=worker, price=float(price), notice=notice).work()
                return STATUS if notice.given else 0
            fit(model, run, workspace.rooms, notice=notice)
    except RunPreempted as error:
        sys.stdout.write(f"{error}\n")
        return STATUS
    except (StoreUnavailable, LeaseLost) as error:
        leave(error, folder, said=str(error))
        raise
    except (TreadleError, MemoryError) as error:
        if worker:
            leave(error, folder, said=str(error) or "The training ran out of memory.")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
