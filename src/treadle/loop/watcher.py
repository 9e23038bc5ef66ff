"""Turns the loop whenever a policy says so: looks at what is true now, again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from treadle.core.errors import Conflict, NotFound, RunFailed, StoreUnavailable, TreadleError
from treadle.core.records import Decision
from treadle.loop.decisions import Decisions
from treadle.loop.models import Model
from treadle.loop.pipelines import Pipelines, Turn
from treadle.loop.rooms import Rooms

#: Rules of the alerts: a run failed; a model cannot even be looked at.
FAILED_RUN, STUCK = "failed-run", "stuck"


@dataclass(frozen=True)
class Look:
    """What one look at one model came to."""

    decision: Decision
    turn: Turn | None = None
    #: Why nothing came of it although it was due.
    error: str = ""


class Watcher:
    """Looks at models and turns the loop of those that are due."""

    def __init__(self, rooms: Rooms, pipelines: Pipelines) -> None:
        self._rooms, self._pipelines = rooms, pipelines
        self._decisions = Decisions(rooms)

    def look(self, model: Model) -> Look:
        """Ingest what is new, decide, and turn the loop if the model is due. A look at which nothing changed writes nothing.

        Raises:
            RunFailed: the model was due and its run failed.
            Busy: another process turns the loop of this model now.
        """
        self._pipelines.ingest_if_any(model)
        decision = self._decisions.decide(model)
        interrupted = self._rooms.runs.running(model.name) is not None
        if not decision.due and not interrupted:
            self._decisions.record(decision)
            return Look(decision)
        reason = decision.reason if decision.due else "going on with an interrupted run"
        try:
            turn = self._pipelines.turn(model, reason=reason)
        except RunFailed:
            self._decisions.record(decision)
            raise
        self._decisions.record(decision)
        self._rooms.alerts.resolve(FAILED_RUN, f"model:{model.name}")
        return Look(decision, turn)

    def tick(self, models: Iterable[Model]) -> list[Look]:
        """Look at every model; what goes wrong with one is told and does not keep the others waiting."""
        looks = []
        self._rooms.alerts.deliver()
        for model in models:
            found = self._look_or_tell(model)
            if found is not None:
                looks.append(found)
        return looks

    def _look_or_tell(self, model: Model) -> Look | None:
        alerts, subject = self._rooms.alerts, f"model:{model.name}"
        try:
            found = self.look(model)
        except RunFailed as error:
            alerts.raise_(FAILED_RUN, subject, str(error))
            return Look(self._decisions.decide(model), error=str(error))
        except (Conflict, StoreUnavailable, NotFound) as error:
            self._rooms.progress.step(f"{model.name}: {error}")  # the next look may find it mended
            return None
        except TreadleError as error:
            alerts.raise_(STUCK, subject, str(error))
            self._rooms.progress.step(f"{model.name}: {error}")
            return None
        alerts.resolve(STUCK, subject)
        return found

    def watch(self, models: Iterable[Model], *, interval: float, stop: threading.Event) -> None:
        """Tick every `interval` seconds until `stop` is set."""
        watched = list(models)
        while not stop.is_set():
            self.tick(watched)
            stop.wait(interval)
