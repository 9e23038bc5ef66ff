"""Wires the prediction server: one application in each worker process, over its own workspace."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.app import features, shipping
from treadle.app.features import ServedFeatures
from treadle.app.jobs import check_reference
from treadle.app.predictor import explainer
from treadle.app.stores import Stores, open_stores
from treadle.core.errors import TreadleError
from treadle.registry import providers
from treadle.serving import assembly, listening, server, spool, supervisor
from treadle.serving.discretion import discretion
from treadle.serving.jobs.routes import JobRoutes
from treadle.serving.origins import Origins
from treadle.serving.tokens import Tokens
from treadle.serving.trainings import TrainingRoutes

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def serve(project: Path | None, overrides: dict[str, Any], *, say: Callable[[str], None]) -> None:
    """Answer predictions until SIGTERM or Ctrl-C; `say` is told where, and for which endpoints.

    Raises:
        AuthRequired: it was told to listen off loopback, and no token is set.
        InvalidInput: the port is taken.
        SettingsError: what the log is to leave out or has room for, or a name of the server, cannot be meant.
        StoreUnavailable: the ledger cannot be read, so nothing is known of the endpoints.
    """
    stores = open_stores(project, overrides=overrides)
    found = stores.settings.serving
    guarded = Tokens(stores.root / found.tokens).all() is not None
    listening.check_address(found, guarded=guarded)
    listening.check_free(found)
    discretion(found)
    spool.check(found.max_spool)
    Origins(found.hosts)
    # What is wrong with the ledger is said here, once, and not by each worker.
    names = ", ".join(stores.endpoints.names()) or "none yet: the first release makes one"
    stores.close()
    beside = f" and for gRPC at {found.host}:{found.grpc_port}" if found.grpc_port else ""
    say(f"Serving at http://{found.host}:{found.port}{beside}, endpoints: {names}. Ctrl-C ends it.")
    supervisor.serve(
        found,
        factory=functools.partial(build, stores.root, overrides),
        shipping=shipping.process(stores.root, overrides),
        guarded=guarded,
    )


def build(root: Path, overrides: dict[str, Any]) -> server.Application:
    """Return the application of one worker process; where it cannot be made, say why and end the process."""
    try:
        return application_of(open_stores(root, overrides=overrides), ships=False)
    except TreadleError as error:
        sys.exit(f"error: {error}")


def application_of(stores: Stores, *, ships: bool) -> server.Application:
    """Return the prediction server's application over a project's stores; `ships`: it ships its log itself, in a thread.

    The whole workspace is opened when somebody asks for what only it can do.
    """

    @functools.cache
    def whole() -> Workspace:
        from treadle.app.workspace import open_workspace

        return open_workspace(stores.root, overrides=dict(stores.overrides))

    return assembly.application(
        stores.root,
        stores.endpoints,
        loader=providers.on(stores.settings.serving.provider, stores.load),
        tables=(lambda: stores.tables) if ships else None,
        settings=stores.settings.serving,
        clock=stores.clock,
        online=ServedFeatures(whole),
        on_demand=features.on_demand(whole, stores.settings.serving),
        explainer=lambda variant: explainer(whole(), variant),
        trainings=TrainingRoutes(lambda model, **said: whole().request(model, **said)),
        jobs=JobRoutes(lambda: stores.jobs, check=lambda *asked: check_reference(whole(), *asked)),
    )
