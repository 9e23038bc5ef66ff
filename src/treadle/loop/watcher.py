"""Turns the loop whenever a policy says so: looks at what is true now, again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from treadle.core.errors import Busy, NotFound, RunFailed, StoreUnavailable
from treadle.core.records import Decision
from treadle.loop.decisions import Decisions
from treadle.loop.models import Model
from treadle.loop.pipelines import Pipelines, Turn
from treadle.loop.rooms import Rooms

FAILED_RUN, FRESHNESS = "failed-run", "freshness"


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
        turn = self._pipelines.turn(model, reason=reason)
        self._decisions.record(decision)
        self._rooms.alerts.resolve(FAILED_RUN, f"model:{model.name}")
        return Look(decision, turn)

    def tick(self, models: Iterable[Model]) -> list[Look]:
        """Look at every model; what goes wrong with one is told and does not keep the others waiting."""
        looks = []
        self._rooms.alerts.deliver()
        for model in models:
            try:
                looks.append(self.look(model))
            except RunFailed as error:
                self._rooms.alerts.raise_(FAILED_RUN, f"model:{model.name}", str(error))
                looks.append(Look(self._decisions.decide(model), error=str(error)))
            except (Busy, StoreUnavailable, NotFound) as error:
                self._rooms.progress.step(f"{model.name}: {error}")
        return looks

    def watch(self, models: Iterable[Model], *, interval: float, stop: threading.Event) -> None:
        """Tick every `interval` seconds until `stop` is set."""
        watched = list(models)
        while not stop.is_set():
            self.tick(watched)
            stop.wait(interval)
