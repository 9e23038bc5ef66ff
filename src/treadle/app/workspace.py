"""The workspace: opens the stores that the settings name and wires the rooms. The only place that does."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import polars as pl

from treadle.core import plugins, settings
from treadle.core.clock import Clock, FileClock, SystemClock, parse_span
from treadle.core.progress import Progress, Silent
from treadle.core.records import DatasetVersion, Revision, Variant
from treadle.core.servable import Servable
from treadle.data.datasets import Datasets
from treadle.evaluation.verdicts import Verdicts
from treadle.loop import live, projects, promotions
from treadle.loop.actions import alert
from treadle.loop.decisions import Decisions
from treadle.loop.frames import Frames
from treadle.loop.pipelines import Pipelines, Turn
from treadle.loop.projects import Project
from treadle.loop.replay import Replay, replay
from treadle.loop.rooms import Rooms
from treadle.loop.watcher import Look, Watcher
from treadle.monitoring.alerts import Alerts
from treadle.registry.models import Models
from treadle.serving.endpoints import Endpoints
from treadle.serving.predictions import Outcomes, Predictions
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.store.tables.tables import Tables
from treadle.training.runs import Runs

if TYPE_CHECKING:
    from treadle.app.checks import Check
    from treadle.app.status import Status
    from treadle.serving.predictor import Predictor

#: Everything that Treadle keeps in a project's folder is under this one.
STATE = ".treadle"


def open_workspace(
    project: Path | str | None = None,
    *,
    progress: Progress | None = None,
    clock: Clock | None = None,
    overrides: dict[str, Any] | None = None,
) -> Workspace:
    """Open the workspace of a project: of a folder, or of the nearest one upward with a `treadle.toml`.

    `overrides` maps `section.key` to a value that goes before the file and the environment.

    Raises:
        NotFound: there is no project here.
        SettingsError: a setting is unknown or has the wrong type.
    """
    root = settings.find_root(Path(project) if project is not None else None)
    found = settings.load(root, overrides)
    if clock is None:
        clock = FileClock(root / found.clock.file) if found.clock.file else SystemClock()
    return Workspace(
        root, settings=found, clock=clock, progress=progress or Silent(), overrides=overrides or {}
    )


class Workspace:
    """All that a project has, behind one object; stores are opened when they are first needed.

    >>> with open_workspace() as ws:                                      # doctest: +SKIP
    ...     turn = ws.run("delay")
    """

    def __init__(
        self,
        root: Path,
        *,
        settings: settings.Settings,
        clock: Clock,
        progress: Progress,
        overrides: Mapping[str, Any],
    ) -> None:
        self.root = root
        self.settings = settings
        #: What went before the file and the environment; processes that are started here get it as well.
        self.overrides = overrides
        self.clock = clock
        self._progress = progress

    def __enter__(self) -> Workspace:
        """Return the workspace itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the stores that were opened."""
        if "ledger" in self.__dict__:
            self.ledger.close()

    @cached_property
    def project(self) -> Project:
        """The declarations of the project's file."""
        return projects.load(self.root / self.settings.project.file)

    @cached_property
    def ledger(self) -> Ledger:
        """The relational state."""
        found = self.settings.ledger
        return Ledger.open(found.url, root=self.root, schema=found.schema, timeout=found.timeout)

    @cached_property
    def objects(self) -> Objects:
        """Immutable files by digest."""
        return Objects.open(self.settings.objects.url, root=self.root, options=settings.aws_options())

    @cached_property
    def tables(self) -> Tables:
        """Versioned tables."""
        return Tables.open(self.settings.tables.url, root=self.root, options=settings.aws_options())

    @cached_property
    def datasets(self) -> Datasets:
        """Room 1: datasets and their versions."""
        return Datasets(ledger=self.ledger, tables=self.tables, clock=self.clock, root=self.root)

    @cached_property
    def runs(self) -> Runs:
        """Room 4: runs."""
        return Runs(ledger=self.ledger, objects=self.objects, clock=self.clock, root=self.root)

    @cached_property
    def verdicts(self) -> Verdicts:
        """Room 5: what gates said."""
        return Verdicts(ledger=self.ledger, clock=self.clock)

    @cached_property
    def models(self) -> Models:
        """Room 6: model versions and aliases."""
        return Models(ledger=self.ledger, objects=self.objects, clock=self.clock, root=self.root)

    @cached_property
    def endpoints(self) -> Endpoints:
        """Room 7: endpoints and their revisions."""
        return Endpoints(ledger=self.ledger, clock=self.clock)

    @cached_property
    def predictions(self) -> Predictions:
        """Room 7: the prediction log."""
        return Predictions(tables=self.tables, root=self.root)

    @cached_property
    def outcomes(self) -> Outcomes:
        """Room 7: the log of outcomes that were reported."""
        return Outcomes(tables=self.tables, root=self.root)

    @cached_property
    def alerts(self) -> Alerts:
        """Room 8: messages to people."""
        return Alerts(ledger=self.ledger, clock=self.clock, channel=self._channel())

    @cached_property
    def decisions(self) -> Decisions:
        """The corridor: when models were due, and why not."""
        return Decisions(self.rooms)

    def ingest(self, name: str | None = None) -> dict[str, DatasetVersion | None]:
        """Read what is new for one dataset, or for all; None stands for nothing new."""
        wanted = [self.project.dataset(name)] if name else list(self.project.datasets.values())
        return {dataset.name: self.datasets.ingest(dataset) for dataset in wanted}

    def run(self, model: str, *, reason: str = "by hand", force: bool = False) -> Turn:
        """Make one turn of the loop for a model now; `force` trains also when nothing is new.

        Raises:
            RunFailed: the training function failed.
            Busy: another process turns the loop of this model now.
        """
        return self._pipelines.turn(self.project.model(model), reason=reason, force=force)

    def run_if_due(self, model: str) -> Look:
        """Look at a model once, and turn its loop if its policy says that it is due."""
        return self._watcher.look(self.project.model(model))

    def watch(self, *, interval: float = 30.0, stop: threading.Event | None = None) -> None:
        """Turn the loop of every model whenever it is due, until `stop` is set."""
        self._watcher.watch(self.project.models.values(), interval=interval, stop=stop or threading.Event())

    def tick(self) -> list[Look]:
        """Look at every model once."""
        return self._watcher.tick(self.project.models.values())

    def replay(
        self, model: str, *, since: datetime | None = None, until: datetime | None = None, step: str = "1d"
    ) -> Replay:
        """Say what a model's policy would have done over the history, with only what was known at each moment."""
        return replay(self.project.model(model), self.rooms, since=since, until=until, step=parse_span(step))

    def features(self, model: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Join a model's features to rows, as of each row's time: what a caller of the endpoint sends."""
        return Frames(self.datasets).with_features(self.project.model(model), rows)

    def answered(self, endpoint: str) -> pl.DataFrame:
        """Return an endpoint's logged predictions whose outcome is known, with answer, outcome and baseline."""
        predictions = self.predictions.scan(endpoint).collect()
        wanted = predictions.select("model", "version").unique().rows()
        versions = {number: self.models.get(f"{model}/{number}") for model, number in wanted}
        return live.answered(predictions, self.outcomes.scan(endpoint).collect(), versions)

    def performance(self, endpoint: str, *, metric: str = "", every: str = "1w") -> pl.DataFrame:
        """Return how good an endpoint's answers were, by stretch of time and version, with intervals."""
        task = self.models.get(_reference(self.endpoints.get(endpoint).variants[0])).task
        measure = metric or {"classification": "log_loss"}.get(task, "rmse")
        return live.scores(self.answered(endpoint), measure=measure, every=every)

    def predictor(self, endpoint: str) -> Predictor:
        """Return an endpoint's predictor in this process, with the server's answers."""
        from treadle.app.predictor import open_predictor

        return open_predictor(self, endpoint)

    def promote(self, version: str, *, reason: str, actor: str = "a person") -> Revision:
        """Make a version (as `delay/3`) the champion, and let its model's endpoint answer with it."""
        found = self.models.get(version)
        revision = promotions.promote(self.rooms, found, actor=actor, reason=reason)
        self.alerts.resolve(alert.RULE, found.ref)
        return revision

    def point(self, endpoint: str, version: str, *, reason: str, actor: str = "a person") -> Revision:
        """Let an endpoint answer with one version; an endpoint that does not exist is made."""
        found = self.models.get(version)
        variant = Variant(name="pinned", model=found.model, version=found.version)
        return self.endpoints.revise(endpoint, [variant], actor=actor, reason=reason, expected=None)

    def load(self, variant: Variant) -> Servable:
        """Load the model version behind a variant, checked against its digests and golden rows."""
        return self.models.load(self.models.get(_reference(variant)))

    def status(self) -> Status:
        """Say what is fresh, what is stale, and why."""
        from treadle.app.status import status

        return status(self)

    def check(self) -> list[Check]:
        """Say what is configured, whether it answers, and how to mend what does not."""
        from treadle.app.checks import checks

        return checks(self)

    def _channel(self) -> Any:
        found = self.settings.alerts
        if not found.webhook:
            return None
        return plugins.load("channel", "webhook").Channel(
            found.webhook, secret=found.secret, clock=SystemClock()
        )

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
            runs=self.runs,
            models=self.models,
            verdicts=self.verdicts,
            endpoints=self.endpoints,
            alerts=self.alerts,
            engine=plugins.load("compute", self.settings.compute.engine).Engine(),
            timeout=self.settings.compute.timeout,
            progress=self._progress,
        )

    @cached_property
    def _pipelines(self) -> Pipelines:
        from treadle.app.worker import job

        return Pipelines(self.rooms, jobs=lambda model, run: job(self, model, run))

    @cached_property
    def _watcher(self) -> Watcher:
        return Watcher(self.rooms, self._pipelines)


def _reference(variant: Variant) -> str:
    return f"{variant.model}/{variant.version}"
