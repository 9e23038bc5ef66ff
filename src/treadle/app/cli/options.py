"""The options that many commands share, and the workspace that they open."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])


def project(function: F) -> F:
    """Add `--project`, the folder that holds `treadle.toml`."""
    return click.option(
        "--project",
        "-C",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="Folder of the project; by default the nearest one upward with a treadle.toml.",
    )(function)


def as_json(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)


def reason(function: F) -> F:
    """Add `--reason`, kept with the change."""
    return click.option("--reason", default="by hand", show_default=True, help="Why; kept with the change.")(
        function
    )


def decision(function: F) -> F:
    """Add `--reason`, which has to be given, and `--by`."""
    why = click.option("--reason", required=True, help="Why; kept with the change.")
    return why(click.option("--by", help="Who decides; by default who is logged in.")(function))


def user() -> str:
    """Return who is logged in."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "a person"


@contextmanager
def workspace(project: Path | None, **settings: Any) -> Iterator[Workspace]:
    """Open the project's workspace, with progress shown on a terminal, and close it."""
    from treadle.app.cli.progress import Lines
    from treadle.app.workspace import open_workspace

    with open_workspace(project, progress=Lines(), **settings) as opened:
        yield opened
