"""The process in which trainings of a replay run: opens the project, and trains what it is asked for until nobody asks."""

from __future__ import annotations

import sys
from pathlib import Path

from treadle.core import settings
from treadle.loop import projects
from treadle.loop.refit_workers import serve


def main(root: str, model: str, rows: str, connection: str) -> None:
    """Serve one replay over an open connection; `rows` is the open file that holds the history."""
    folder = Path(root)
    project = projects.load(folder / settings.load(folder).project.file)
    serve(project.model(model), int(rows), int(connection), root=folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
