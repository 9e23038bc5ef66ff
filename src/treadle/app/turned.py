"""What a workspace can do to turn the loop: now, when it is due, and over the history."""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, cast

from treadle.app import lineage, mirrors
from treadle.app.scored import Scored
from treadle.app.wiring import STATE
from treadle.core.clock import parse_span
from treadle.core.errors import Conflict
from treadle.core.paging import USUAL, Paged
from treadle.core.records import Run
from treadle.core.settings import as_environment
from treadle.loop.audit import audit, audit_page
from treadle.loop.changes import Entry
from treadle.loop.choosing import GridReplay, replay_grid
from treadle.loop.facts import Request
from treadle.loop.grid import DECLARED, Grid, Plan
from treadle.loop.outlook import Outlook, outlook
from treadle.loop.pipelines import Pipelines, Turn
from treadle.loop.refit_cache import RefitCache
from treadle.loop.refit_workers import Trainers
from treadle.loop.replay import Replay, replay
from treadle.loop.watcher import Look, Watcher
from treadle.loop.whys import Why, why
from treadle.monitoring.exposition import Exposition

if TYPE_CHECKING:
    from treadle.app.checks import Check
    from treadle.app.status import Status
    from treadle.app.workspace import Workspace


class Turned(Scored):
    """The part of a workspace that turns the loop."""

    def status(self) -> Status:
        """Say what is fresh, what is stale, and why."""
        from treadle.app.status import status

        return status(self._whole)

    def check(self) -> list[Check]:
        """Say what is configured, whether it answers, and how to mend what does not."""
        from treadle.app.checks import checks

        return checks(self._whole)

    def declared(self) -> dict[str, list[str]]:
        """Return the names of what the project's file declares, by kind."""
        kinds = ("datasets", "trees", "views", "models", "experiments", "slos")
        return {kind: sorted(getattr(self.project, kind)) for kind in kinds}

    def run(self, model: str, *, reason: str = "by hand", force: bool = False) -> Turn:
        """Make one turn of the loop for a model now; `force` trains also when nothing is new.

        Raises:
            RunFailed: the training function failed.
            Busy: another process turns the loop of this model now.
        """
        with mirrors.mirrored(self._whole, self._progress):
            return self._pipelines.turn(self.project.model(model), reason=reason, force=force)

    def run_if_due(self, model: str) -> Look:
        """Look at a model once, and turn its loop if its policy says that it is due."""
        with mirrors.mirrored(self._whole, self._progress):
            return self._watcher.look(self.project.model(model))

    def watch(self, *, interval: float = 30.0, stop: threading.Event | None = None) -> None:
        """Turn the loop of every model whenever it is due, and move rollouts on, until `stop` is set."""
        told = lineage.told(self._whole, self._progress)
        with self.alerts.beside(), self.rolling.beside(), told, self._exposed():
            self._watcher.watch(
                self.project.models.values(), interval=interval, stop=stop or threading.Event()
            )

    def tick(self) -> list[Look]:
        """Look at every rollout and every model once."""
        self.rolling.tick()
        with lineage.told(self._whole, self._progress):
            return self._watcher.tick(self.project.models.values())

    def request(
        self,
        model: str,
        *,
        reason: str,
        actor: str = "a person",
        key: str = "",
        most: int | None = None,
    ) -> Request:
        """Ask for a training of a model: the next look of a watcher makes it, whether or not anything is new.

        With a `key`, the same wish sent again is the same request, whatever became of it. `most` is how many may come in a minute.

        Raises:
            NotFound: the project declares no such model.
            InvalidInput: there is no reason, or too long a one.
            Conflict: the key was used for another reason, or by somebody else.
            TooManyRequests: more than `most` came within the last minute.
        """
        return self.requests.ask(model, actor=actor, reason=reason, key=key, most=most)

    def cancel(self, run: str, *, reason: str, actor: str = "a person") -> Run:
        """End a run under way: whoever trains it stops within seconds, wherever that is, and nothing becomes of it.

        Raises:
            NotFound: there is no such run.
            Conflict: it has ended already.
            InvalidInput: there is no reason.
        """
        return self.runs.cancel(run, actor=actor, reason=reason)

    def retry(self, run: str, *, reason: str, actor: str = "a person") -> Request:
        """Ask for the training of a run that failed or was turned down once more, on what is there by then; see `request`.

        Raises:
            NotFound: there is no such run, or the project no longer declares its model.
            Conflict: it runs, or has made a version that passed.
            InvalidInput: there is no reason, or too long a one.
        """
        found = self.runs.get(run)
        if found.status in {"running", "succeeded"}:
            msg = f"Run {run} is {found.status}: there is nothing to try again. Ask for another one: treadle request {found.model}"
            raise Conflict(msg)
        return self.request(found.model, reason=f"{reason} (again, as {run} was {found.status})", actor=actor)

    def why(self, model: str, *, at: datetime | None = None) -> Why:
        """Say why a model was due, or not, at a moment (by default now)."""
        return why(self.project.model(model), self.rooms, at=at)

    def outlook(self, model: str) -> Outlook:
        """Say what a model's policy will do next and when, if everything goes on as it does.

        Raises:
            NotFound: the project declares no such model.
        """
        found = self.project.model(model)
        facts = self.decisions.facts(found)
        return outlook(found.policy, facts, found.policy.decide(facts))

    def replay(
        self,
        model: str,
        plan: Plan | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: str = "1d",
    ) -> Replay:
        """Say what a model's policy (or one of a grid: `plan`) would have done over the history, with only what was known at each moment."""
        found = self.project.model(model)
        chosen = plan or Plan(DECLARED, found.policy, found.gates)
        return replay(
            found, self.rooms, chosen, self._trainers, since=since, until=until, step=parse_span(step)
        )

    def replay_grid(
        self,
        model: str,
        grid: Grid | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        step: str = "1d",
    ) -> GridReplay:
        """Walk a model's history with each policy of a grid (by default twelve round the declared one), and recommend one.

        Raises:
            NotFound: no row has a known outcome.
            InvalidInput: the metric that decides is no mean over rows, or there is no time in the stretch.
        """
        found = self.project.model(model)
        return replay_grid(
            found, self.rooms, self._trainers, grid, since=since, until=until, step=parse_span(step)
        )

    def _exposed(self) -> AbstractContextManager[int | None]:
        """Answer `/metrics` as long as the block lasts, where a port is set."""
        found = self.settings.watch
        if not found.port:
            return nullcontext()
        from treadle.app import gauges

        page = partial(gauges.page, self._whole)
        return Exposition(page, host=found.host, port=found.port, token=found.token).running()

    def audit(
        self,
        *,
        kind: str = "",
        subject: str = "",
        actor: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 1000,
    ) -> list[Entry]:
        """Return every change with who made it and why, the newest first; what is given narrows it down.

        Raises:
            InvalidInput: there is no such kind of change.
        """
        return audit(
            self.ledger, kind=kind, subject=subject, actor=actor, since=since, until=until, limit=limit
        )

    def audit_page(
        self,
        *,
        kind: str = "",
        subject: str = "",
        actor: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        limit: int = USUAL,
    ) -> Paged[Entry]:
        """Return one part of the changes, the newest first; `after` is the key that the part before it gave. See `audit`.

        Raises:
            InvalidInput: there is no such kind of change, or the key is not understood.
        """
        return audit_page(
            self.ledger,
            kind=kind,
            subject=subject,
            actor=actor,
            since=since,
            until=until,
            after=after,
            limit=limit,
        )

    @property
    def _whole(self) -> Workspace:
        """The workspace that this is a part of."""
        return cast("Workspace", self)

    @cached_property
    def _pipelines(self) -> Pipelines:
        from treadle.app.worker import job

        return Pipelines(self.rooms, jobs=partial(job, self._whole))

    @property
    def _trainers(self) -> Trainers:
        """Where replays train: in this process only where all trainings do."""
        found, inline = self.settings.replay, self.settings.compute.engine == "inline"
        return Trainers(
            command=() if inline else (sys.executable, "-m", "treadle.app.refitter", str(self.root)),
            environment=as_environment(self.overrides),
            root=self.root,
            most=found.workers,
            cache=RefitCache(self.root / STATE / "replays", found.cache),
        )

    @cached_property
    def _watcher(self) -> Watcher:
        return Watcher(self.rooms, self._pipelines, after=self._after_tick)

    def _after_tick(self) -> None:
        self.promises.tick(self._watcher.known)
        self.bandits.tick(self._progress.step)
        mirrors.send(self._whole, self._progress)
