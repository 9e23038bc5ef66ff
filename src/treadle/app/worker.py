"""The process in which a training function runs: opens the workspace, fits one candidate, and ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.core.errors import StoreUnavailable
from treadle.core.records import Run
from treadle.core.settings import as_environment
from treadle.loop.fitting import fit, leave
from treadle.loop.models import Model
from treadle.training.jobs import Job
from treadle.training.runs import FOLDER

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def job(workspace: Workspace, model: Model, run: Run) -> Job:
    """Return the job that fits a candidate: a command for engines that start processes, a call for the others."""
    return Job(
        command=[sys.executable, "-m", "treadle.app.worker", str(workspace.root), run.id],
        call=lambda: fit(model, run, workspace.rooms),
        cwd=workspace.root,
        environment=as_environment(workspace.overrides),
    )


def main(root: str, run_id: str) -> int:
    """Fit the candidate of one run; return the process's exit code."""
    from treadle.app.workspace import open_workspace

    try:
        with open_workspace(Path(root)) as workspace:
            run = workspace.runs.get(run_id)
            fit(workspace.project.model(run.model), run, workspace.rooms)
    except StoreUnavailable as error:
        leave(error, Path(root, FOLDER, run_id), said=str(error))
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
