"""The process in which a recorded run's training is made again, beside the record: nothing of it is kept."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.core.errors import StoreUnavailable
from treadle.core.settings import as_environment
from treadle.loop.fitting import fit, leave
from treadle.loop.models import Model
from treadle.loop.reruns import aside, kept_run
from treadle.training.jobs import Job

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def job(workspace: Workspace, model: Model, folder: Path) -> Job:
    """Return the job that fits the candidate of the run written down in a folder."""
    return Job(
        command=[sys.executable, "-m", "treadle.app.rerunner", str(workspace.root), str(folder)],
        call=lambda: fit(model, kept_run(folder), aside(workspace.rooms, folder)),
        cwd=workspace.root,
        environment=as_environment(workspace.overrides),
    )


def main(root: str, folder: str) -> int:
    """Fit the candidate of the run written down in a folder; return the process's exit code."""
    from treadle.app.workspace import open_workspace

    place = Path(folder)
    try:
        with open_workspace(Path(root)) as workspace:
            run = kept_run(place)
            fit(workspace.project.model(run.model), run, aside(workspace.rooms, place))
    except StoreUnavailable as error:
        leave(error, place, said=str(error))
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
