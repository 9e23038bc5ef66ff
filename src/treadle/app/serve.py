"""Wires the prediction server: one application in each worker process, over its own workspace."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.core.errors import TreadleError
from treadle.serving import assembly, server

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def serve(project: Path | None, overrides: dict[str, Any], *, say: Callable[[str], None]) -> None:
    """Answer predictions until SIGTERM or Ctrl-C; `say` is told where, and for which endpoints.

    Raises:
        AuthRequired: it was told to listen off loopback, and no token is set.
        InvalidInput: the port is taken.
        StoreUnavailable: the ledger cannot be read, so nothing is known of the endpoints.
    """
    from treadle.app.workspace import open_workspace

    workspace = open_workspace(project, overrides=overrides)
    found = workspace.settings.serving
    server.check_address(found)
    server.check_free(found)
    # What is wrong with the ledger is said here, once, and not by each worker.
    names = ", ".join(workspace.endpoints.names()) or "none yet: the first release makes one"
    workspace.close()
    say(f"Serving at http://{found.host}:{found.port}, endpoints: {names}. Ctrl-C ends it.")
    server.serve(found, factory=functools.partial(build, workspace.root, overrides))


def build(root: Path, overrides: dict[str, Any]) -> server.Application:
    """Return the application of one worker process; where it cannot be made, say why and end the process."""
    from treadle.app.workspace import open_workspace

    try:
        return _application(open_workspace(root, overrides=overrides))
    except TreadleError as error:
        sys.exit(f"error: {error}")


def _application(workspace: Workspace) -> server.Application:
    return assembly.application(
        workspace.root,
        workspace.endpoints,
        loader=workspace.load,
        tables=lambda: workspace.tables,
        settings=workspace.settings.serving,
        clock=workspace.clock,
    )
