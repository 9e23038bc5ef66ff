"""Puts the parts of this room together over the stores and the loader that the front door hands in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from treadle.core.clock import Clock
from treadle.core.settings import ServingSettings
from treadle.serving import spool
from treadle.serving.access import Access
from treadle.serving.counting import Counting
from treadle.serving.courier import Courier
from treadle.serving.dataplane import Dataplane, Loader
from treadle.serving.discretion import discretion
from treadle.serving.endpoints import Endpoints
from treadle.serving.explanations import Explainer, Explanations
from treadle.serving.follower import Follower, server_name
from treadle.serving.jobs.routes import JobRoutes
from treadle.serving.log import PredictionLog
from treadle.serving.lookout import Lookout
from treadle.serving.on_demand import OnDemand
from treadle.serving.predictor import Predictor
from treadle.serving.rollouts import Rollouts
from treadle.serving.server import Application
from treadle.serving.tokens import Tokens
from treadle.serving.trainings import TrainingRoutes
from treadle.serving.wanted import OnlineRead

if TYPE_CHECKING:
    from treadle.store.tables.tables import Tables

#: Seconds that the first look at the endpoints is waited for.
_FIRST_LOOK = 10.0


class WorkerParts(NamedTuple):
    """The parts of a process that does jobs; `with` starts and ends them."""

    plane: Dataplane
    log: PredictionLog
    follower: Follower
    shipping: Courier

    def __enter__(self) -> WorkerParts:
        self.log.start()
        self.follower.start(wait=_FIRST_LOOK)
        self.shipping.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.follower.stop()
        self.log.close()
        self.shipping.stop()


def application(
    root: Path,
    endpoints: Endpoints,
    *,
    loader: Loader,
    tables: Callable[[], Tables] | None,
    settings: ServingSettings,
    clock: Clock,
    online: OnlineRead | None = None,
    on_demand: OnDemand | None = None,
    jobs: JobRoutes | None = None,
    trainings: TrainingRoutes | None = None,
    explainer: Explainer | None = None,
) -> Application:
    """Return the server's application for one worker process.

    `loader` loads and verifies a version; `tables` opens the tables, in the thread that ships the log, None: a process
    of its own ships it; `online` reads the features that callers do not send, and `on_demand` computes them; `explainer` opens a version for explaining.
    """
    server = server_name()
    plane = Dataplane(
        endpoints.current,
        loader,
        clock=clock,
        max_rows=settings.max_rows,
        online=online,
        on_demand=on_demand,
    )
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
            lookout=_lookout(plane, endpoints, server, clock),
            counting=Counting(endpoints.ledger, server=server, clock=clock),
        ),
        shipping=Courier(root, tables) if tables else None,
        settings=settings,
        clock=clock,
        access=Access(settings.token, Tokens(root / settings.tokens), clock=clock),
        root=root,
        jobs=jobs,
        trainings=trainings,
        explainer=explainer,
    )


def job_worker(
    root: Path,
    endpoints: Endpoints,
    *,
    loader: Loader,
    tables: Callable[[], Tables],
    settings: ServingSettings,
    clock: Clock,
    online: OnlineRead | None = None,
    on_demand: OnDemand | None = None,
) -> WorkerParts:
    """Return what answers jobs in this process, with the server's checks and log."""
    server = server_name()
    plane = Dataplane(
        endpoints.current,
        loader,
        clock=clock,
        max_rows=settings.max_rows,
        online=online,
        on_demand=on_demand,
    )
    return WorkerParts(
        plane=plane,
        log=_log(root, server, settings),
        follower=Follower(plane, endpoints, server=server, clock=clock, poll_interval=settings.poll_interval),
        shipping=Courier(root, tables),
    )


def predictor(
    endpoint: str,
    root: Path,
    *,
    endpoints: Endpoints,
    loader: Loader,
    settings: ServingSettings,
    clock: Clock,
    online: OnlineRead | None = None,
    on_demand: OnDemand | None = None,
    explainer: Explainer | None = None,
) -> Predictor:
    """Return an endpoint's predictor in this process; what it logs is shipped by the next server that starts.

    Raises:
        NotFound: there is no such endpoint.
        NotLoaded: its revision cannot be loaded; the message says why.
        StoreUnavailable: the ledger does not answer.
    """
    server = server_name()
    plane = Dataplane(
        endpoints.current,
        loader,
        clock=clock,
        max_rows=settings.max_rows,
        online=online,
        on_demand=on_demand,
    )
    follower = Follower(
        plane,
        endpoints,
        server=server,
        clock=clock,
        poll_interval=settings.poll_interval,
        lookout=_lookout(plane, endpoints, server, clock),
    )
    return Predictor(
        endpoint,
        plane,
        log=_log(root, server, settings),
        follower=follower,
        explanations=Explanations(explainer, max_rows=settings.explain_rows),
    )


def _lookout(plane: Dataplane, endpoints: Endpoints, server: str, clock: Clock) -> Lookout:
    return Lookout(plane, Rollouts(endpoints.ledger, endpoints, clock), server=server)


def _log(root: Path, server: str, settings: ServingSettings) -> PredictionLog:
    spool.check(settings.max_spool)
    return PredictionLog(
        root,
        server=server,
        durability=settings.durability,
        flush_interval=settings.flush_interval,
        max_spool=settings.max_spool,
        discretion=discretion(settings),
    )
