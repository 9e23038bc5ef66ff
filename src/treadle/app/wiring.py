"""The wiring: opens the stores that the settings name, and gives each room what it needs. The only place that does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from treadle.app.stores import Stores
from treadle.core import plugins, settings
from treadle.core.clock import Clock, SystemClock, parse_span
from treadle.core.progress import Progress
from treadle.data.admission import Admission
from treadle.data.datasets import Datasets
from treadle.data.tags import Tags
from treadle.data.trees import Trees
from treadle.data.waiting import Quarantine
from treadle.evaluation.verdicts import Verdicts
from treadle.features.online import OnlineFeatures
from treadle.loop import projects
from treadle.loop.approvals import Approvals
from treadle.loop.bandits import Bandits
from treadle.loop.concerns import Concerns
from treadle.loop.decisions import Decisions
from treadle.loop.experimenting import Experimenting
from treadle.loop.projects import Project
from treadle.loop.promises import Promises
from treadle.loop.requests import Requests
from treadle.loop.rolling import Rolling
from treadle.loop.rooms import Rooms
from treadle.loop.steps import Steps
from treadle.loop.team import Team
from treadle.monitoring.alerts import Alerts
from treadle.monitoring.drifts import Drifts
from treadle.monitoring.routes import Routes, routes
from treadle.monitoring.rules import Rules
from treadle.registry.mirror import Mirror
from treadle.serving.expiry import Expiry
from treadle.serving.predictions import Outcomes, Predictions
from treadle.serving.rollouts import Rollouts
from treadle.store.objects.contents import open_contents
from treadle.store.online.online import Online
from treadle.training.runs import Runs
from treadle.training.trials import Trials

if TYPE_CHECKING:
    from treadle.loop.lineage_server import LineageServer

#: Everything that Treadle keeps in a project's folder is under this one.
STATE = ".treadle"


class Wiring(Stores):
    """The stores and rooms of one project, opened when they are first needed."""

    def __init__(
        self,
        root: Path,
        *,
        settings: settings.Settings,
        clock: Clock,
        progress: Progress,
        overrides: Mapping[str, Any],
    ) -> None:
        super().__init__(root, settings=settings, clock=clock, overrides=overrides)
        self._progress = progress

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the stores that were opened."""
        if "engine" in self.__dict__:
            self.engine.close()
        if "online" in self.__dict__:
            self.online.close()
        super().close()

    @cached_property
    def project(self) -> Project:
        """The declarations of the project's file."""
        return projects.load(self.root / self.settings.project.file)

    @cached_property
    def datasets(self) -> Datasets:
        """Room 1: datasets and their versions."""
        return Datasets(ledger=self.ledger, tables=self.tables, clock=self.clock, root=self.root)

    @cached_property
    def tags(self) -> Tags:
        """Room 1: names of dataset versions."""
        return Tags(ledger=self.ledger, clock=self.clock)

    @cached_property
    def admission(self) -> Admission:
        """Room 1: the way out of quarantine."""
        return Admission(ledger=self.ledger, tables=self.tables, clock=self.clock, root=self.root)

    @cached_property
    def quarantine(self) -> Quarantine:
        """Room 1: rows that did not meet their contract."""
        return Quarantine(self.datasets, self.tables, self.ledger)

    @cached_property
    def trees(self) -> Trees:
        """Room 1: files of any kind, and their versions."""
        contents = open_contents(self.settings.objects.url, root=self.root, options=settings.aws_options())
        return Trees(
            ledger=self.ledger,
            contents=contents,
            clock=self.clock,
            root=self.root,
            state=self.root / STATE,
            progress=self._progress,
        )

    @cached_property
    def online(self) -> OnlineFeatures:
        """Room 2: feature views in the online store."""
        found = self.settings.online
        return OnlineFeatures(
            views=self.project.views,
            rows=self.datasets,
            store=Online.open(found.url, root=self.root, timeout=found.timeout),
            ledger=self.ledger,
            clock=self.clock,
            project=self.settings.project.name,
            on_failure=found.on_failure,
        )

    @cached_property
    def runs(self) -> Runs:
        """Room 4: runs."""
        return Runs(ledger=self.ledger, objects=self.objects, clock=self.clock, root=self.root)

    @cached_property
    def trials(self) -> Trials:
        """Room 4: trials of searches."""
        return Trials(ledger=self.ledger, objects=self.objects, clock=self.clock)

    @cached_property
    def verdicts(self) -> Verdicts:
        """Room 5: what gates said."""
        return Verdicts(ledger=self.ledger, clock=self.clock)

    @cached_property
    def rollouts(self) -> Rollouts:
        """Room 7: rollouts."""
        return Rollouts(self.ledger, self.endpoints, self.clock)

    @cached_property
    def rolling(self) -> Rolling:
        """The corridor: what moves rollouts on."""
        return Rolling(self.rooms)

    @cached_property
    def experiments(self) -> Experimenting:
        """The corridor: what two variants of an endpoint show."""
        return Experimenting(self.rooms)

    @cached_property
    def predictions(self) -> Predictions:
        """Room 7: the prediction log."""
        return Predictions(tables=self.tables, root=self.root)

    @cached_property
    def outcomes(self) -> Outcomes:
        """Room 7: the log of outcomes that were reported."""
        return Outcomes(tables=self.tables, root=self.root)

    @cached_property
    def expiry(self) -> Expiry:
        """Room 7: how long the two are kept."""
        found = self.settings.serving
        return Expiry(
            self.tables,
            self.endpoints,
            self.rollouts,
            self.clock,
            root=self.root,
            predictions=found.keep_predictions,
            outcomes=found.keep_outcomes,
        )

    @cached_property
    def alerts(self) -> Alerts:
        """Room 8: messages to people."""
        found = self.settings.alerts
        return Alerts(
            ledger=self.ledger,
            clock=self.clock,
            routes=self.routes,
            rules=Rules(found.rules),
            world=SystemClock(),
            keep=parse_span(found.keep),
        )

    @cached_property
    def routes(self) -> Routes:
        """Room 8: the ways to tell a person."""
        return routes(self.settings.alerts, project=self.settings.project.name)

    @cached_property
    def drifts(self) -> Drifts:
        """Room 8: comparisons with the references of versions."""
        return Drifts(self.tables, self.clock)

    @cached_property
    def steps(self) -> Steps:
        """The corridor: what the steps of runs have left."""
        return Steps(self.ledger, self.objects, self.clock)

    @cached_property
    def decisions(self) -> Decisions:
        """The corridor: when models were due, and why not."""
        return Decisions(self.rooms)

    @cached_property
    def requests(self) -> Requests:
        """The corridor: what people asked for."""
        return Requests(self.rooms)

    @cached_property
    def approvals(self) -> Approvals:
        """The corridor: versions that wait for a person."""
        return Approvals(self.rooms)

    @cached_property
    def bandits(self) -> Bandits:
        """The corridor: endpoints that learn which variant earns most."""
        return Bandits(
            self.endpoints,
            predictions=self.predictions.scan,
            reported=self.outcomes.scan,
            clock=self.clock,
        )

    @cached_property
    def team(self) -> Team:
        """The corridor: who may use this workspace."""
        return Team(self.ledger, SystemClock())

    @cached_property
    def concerns(self) -> Concerns:
        """The corridor: what a person should be told of a model."""
        return Concerns(self.rooms)

    @cached_property
    def promises(self) -> Promises:
        """The corridor: how SLOs stand."""
        return Promises(self.rooms)

    @cached_property
    def mirrors(self) -> tuple[Mirror, ...]:
        """Trackers elsewhere that show what the ledger holds: those whose variables are set, as `MLFLOW_TRACKING_URI`."""
        found = []
        for name in plugins.available("mirror"):
            given = settings.variables(f"{name.upper()}_")
            mirror = plugins.load("mirror", name).Mirror(given) if given else None
            if mirror is not None and mirror.place:
                found.append(mirror)
        return tuple(found)

    @cached_property
    def lineage_server(self) -> LineageServer:
        """Whoever is told of runs by OpenLineage events: `OPENLINEAGE_URL`; without a place where that is not set."""
        from treadle.loop.lineage_server import LineageServer

        return LineageServer(settings.variables("OPENLINEAGE_"))

    @cached_property
    def engine(self) -> Any:
        """The compute engine that training functions run on."""
        found = self.settings.compute
        return plugins.load("compute", found.engine).Engine(found.address)

    @cached_property
    def rooms(self) -> Rooms:
        """Everything that the corridor walks through."""
        return Rooms(
            root=self.root,
            project=self.project,
            ledger=self.ledger,
            objects=self.objects,
            clock=self.clock,
            datasets=self.datasets,
            trees=self.trees,
            online=lambda: self.online,
            runs=self.runs,
            trials=self.trials,
            models=self.models,
            verdicts=self.verdicts,
            endpoints=self.endpoints,
            rollouts=self.rollouts,
            predictions=lambda: self.predictions,
            outcomes=lambda: self.outcomes,
            alerts=self.alerts,
            drifts=lambda: self.drifts,
            engine=self.engine,
            timeout=self.settings.compute.timeout,
            retries=self.settings.compute.retries,
            lease=self.settings.loop.lease,
            concurrency=self.settings.loop.concurrency,
            price=self.settings.loop.price,
            progress=self._progress,
        )
