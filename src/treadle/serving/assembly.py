"""Puts the parts of this room together over the stores and the loader that the front door hands in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from treadle.core.clock import Clock
from treadle.core.settings import ServingSettings
from treadle.serving.dataplane import Dataplane, Loader
from treadle.serving.endpoints import Endpoints
from treadle.serving.follower import Follower, server_name
from treadle.serving.log import PredictionLog
from treadle.serving.predictor import Predictor
from treadle.serving.server import Application
from treadle.serving.shipping import ShippingThread
from treadle.store.tables.tables import Tables


def application(
    root: Path,
    endpoints: Endpoints,
    *,
    loader: Loader,
    tables: Callable[[], Tables],
    settings: ServingSettings,
    clock: Clock,
) -> Application:
    """Return the server's application for one worker process.

    `loader` loads and verifies a version; `tables` opens the tables, in the thread that ships the log.
    """
    server = server_name()
    plane = Dataplane(endpoints.current, loader, clock=clock, max_rows=settings.max_rows)
    return Application(
        plane,
        _log(root, server, settings),
        follower=Follower(
            plane,
            endpoints,
            server=server,
            clock=clock,
            poll_interval=settings.poll_interval,
            siblings=settings.workers > 1,
        ),
        shipping=ShippingThread(root, tables, server=server),
        settings=settings,
        clock=clock,
    )


def predictor(
    endpoint: str,
    root: Path,
    *,
    endpoints: Endpoints,
    loader: Loader,
    settings: ServingSettings,
    clock: Clock,
) -> Predictor:
    """Return an endpoint's predictor in this process; what it logs is shipped by the next server that starts.

    Raises:
        NotFound: there is no such endpoint.
        NotLoaded: its revision cannot be loaded; the message says why.
        StoreUnavailable: the ledger does not answer.
    """
    server = server_name()
    plane = Dataplane(endpoints.current, loader, clock=clock, max_rows=settings.max_rows)
    follower = Follower(plane, endpoints, server=server, clock=clock, poll_interval=settings.poll_interval)
    return Predictor(endpoint, plane, log=_log(root, server, settings), follower=follower)


def _log(root: Path, server: str, settings: ServingSettings) -> PredictionLog:
    return PredictionLog(
        root, server=server, durability=settings.durability, flush_interval=settings.flush_interval
    )
