"""Wires the prediction server: one application in each worker process, over its own workspace."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from treadle.serving import assembly, server


def serve(project: Path | None, overrides: dict[str, Any]) -> None:
    """Answer predictions until SIGTERM or Ctrl-C.

    Raises:
        AuthRequired: it was told to listen off loopback, and no token is set.
        InvalidInput: the port is taken.
    """
    from treadle.app.workspace import open_workspace

    workspace = open_workspace(project, overrides=overrides)
    factory = functools.partial(build, workspace.root, overrides)
    server.serve(workspace.settings.serving, factory=factory)


def build(root: Path, overrides: dict[str, Any]) -> server.Application:
    """Return the application of one worker process."""
    from treadle.app.workspace import open_workspace

    workspace = open_workspace(root, overrides=overrides)
    return assembly.application(
        workspace.root,
        workspace.endpoints,
        loader=workspace.load,
        tables=lambda: workspace.tables,
        settings=workspace.settings.serving,
        clock=workspace.clock,
    )
