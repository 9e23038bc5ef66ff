"""Wires the prediction server: one application in each worker process, over its own workspace."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.app.features import ServedFeatures
from treadle.app.jobs import check_reference
from treadle.app.predictor import explainer
from treadle.core.errors import TreadleError
from treadle.registry import providers
from treadle.serving import assembly, listening, server, supervisor
from treadle.serving.discretion import discretion
from treadle.serving.jobs.routes import JobRoutes
from treadle.serving.tokens import Tokens

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def serve(project: Path | None, overrides: dict[str, Any], *, say: Callable[[str], None]) -> None:
    """Answer predictions until SIGTERM or Ctrl-C; `say` is told where, and for which endpoints.

    Raises:
        AuthRequired: it was told to listen off loopback, and no token is set.
        InvalidInput: the port is taken.
        SettingsError: what the log is to leave out cannot be meant.
        StoreUnavailable: the ledger cannot be read, so nothing is known of the endpoints.
    """
    from treadle.app.workspace import open_workspace

    workspace = open_workspace(project, overrides=overrides)
    found = workspace.settings.serving
    guarded = Tokens(workspace.root / found.tokens).all() is not None
    listening.check_address(found, guarded=guarded)
    listening.check_free(found)
    discretion(found)
    # What is wrong with the ledger is said here, once, and not by each worker.
    names = ", ".join(workspace.endpoints.names()) or "none yet: the first release makes one"
    workspace.close()
    beside = f" and for gRPC at {found.host}:{found.grpc_port}" if found.grpc_port else ""
    say(f"Serving at http://{found.host}:{found.port}{beside}, endpoints: {names}. Ctrl-C ends it.")
    supervisor.serve(found, factory=functools.partial(build, workspace.root, overrides), guarded=guarded)


def build(root: Path, overrides: dict[str, Any]) -> server.Application:
    """Return the application of one worker process; where it cannot be made, say why and end the process."""
    from treadle.app.workspace import open_workspace

    try:
        return application_of(open_workspace(root, overrides=overrides))
    except TreadleError as error:
        sys.exit(f"error: {error}")


def application_of(workspace: Workspace) -> server.Application:
    """Return the prediction server's application over a workspace."""
    return assembly.application(
        workspace.root,
        workspace.endpoints,
        loader=providers.on(workspace.settings.serving.provider, workspace.load),
        tables=lambda: workspace.tables,
        settings=workspace.settings.serving,
        clock=workspace.clock,
        online=ServedFeatures(workspace),
        explainer=functools.partial(explainer, workspace),
        jobs=JobRoutes(lambda: workspace.jobs, check=functools.partial(check_reference, workspace)),
    )
