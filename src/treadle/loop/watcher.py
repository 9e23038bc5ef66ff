"""Turns the loop whenever a policy says so: looks at what is true now, again and again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from treadle.core.alert import Concern
from treadle.core.errors import Conflict, NoRoom, NotFound, RunFailed, StoreUnavailable, TreadleError
from treadle.core.records import Decision
from treadle.loop import requests
from treadle.loop.concerns import BAD_FILES, RULES, Concerns
from treadle.loop.decisions import Decisions
from treadle.loop.known import Known
from treadle.loop.models import Model
from treadle.loop.picture import Picture
from treadle.loop.pipelines import Pipelines, Turn
from treadle.loop.rooms import Rooms
from treadle.loop.sources import Sources
from treadle.loop.turns import Due

#: Rule of the alert that a model cannot even be looked at.
STUCK = "stuck"
#: Rule of the alert that a trigger saw something and did not fire for it, as drift that nothing says does harm.
UNPROVEN = "unproven"
#: Rule of the alert that a trigger saw that the answers are worse than they were, whether or not a training follows.
DECAYED = "decayed"
_log = logging.getLogger("treadle.loop")


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one look at one model came to."""

    model: str
    #: Whether it was due; None: the look did not come so far.
    decision: Decision | None = None
    turn: Turn | None = None
    #: Why nothing came of it although it was due.
    failure: Exception | None = None

    @property
    def may_pass(self) -> bool:
        """Whether the next look may find otherwise, as when another process does the work."""
        return isinstance(self.failure, (Conflict, NotFound))

    @property
    def error(self) -> str:
        """The failure in words; empty: there is none."""
        if self.failure is None or isinstance(self.failure, TreadleError):
            return str(self.failure or "")
        return f"{type(self.failure).__name__}: {self.failure}"


class Watcher:
    """Looks at models and turns the loop of those that are due."""

    def __init__(
        self, rooms: Rooms, pipelines: Pipelines, *, after: Callable[[], None] = lambda: None
    ) -> None:
        """Take the rooms, what turns the loop, and what is to be done after each tick."""
        self._rooms, self._pipelines, self._after = rooms, pipelines, after
        self._picture, self._sources = Picture(rooms), Sources(rooms)
        self._seen, self._concerns = (
            Decisions(rooms, known=self._picture),
            Concerns(rooms, known=self._picture),
        )
        #: What is decided while a lease is held is decided on what the ledger says at that moment.
        self._decisions = Decisions(rooms)

    @property
    def known(self) -> Known:
        """What the watcher knows of all models."""
        return self._picture

    def look(self, model: Model) -> Look:
        """Ingest what is new, decide, and turn the loop if the model is due. A look at which nothing changed writes nothing.

        What a killed look left undone (a message, a run's log) is done first.

        Raises:
            RunFailed: the model was due and its run failed.
            Busy: another process turns the loop of this model now.
        """
        self._begin()
        found = self._look_and_tell(model)
        if found.failure is not None:
            raise found.failure
        return found

    def tick(self, models: Iterable[Model]) -> list[Look]:
        """Look at every model; what goes wrong with one is told and does not keep the others waiting.

        Raises:
            StoreUnavailable: the ledger does not answer, so that nothing can be told either.
        """
        self._begin()
        looks = []
        for model in models:
            looks.append(self._look_and_tell(model))
            if looks[-1].error:
                self._rooms.progress.step(f"{model.name}: {looks[-1].error}")
        self._after()
        return looks

    def watch(self, models: Iterable[Model], *, interval: float, stop: threading.Event) -> None:
        """Tick every `interval` seconds until `stop` is set; while the ledger is away, that is told."""
        watched = list(models)
        while not stop.is_set():
            try:
                self.tick(watched)
            except StoreUnavailable as error:
                self._rooms.progress.step(str(error))
            stop.wait(interval)

    def _begin(self) -> None:
        """Finish what was killed, and look with fresh eyes."""
        self._rooms.alerts.deliver()
        self._rooms.runs.seal_leftovers()
        self._refresh()

    def _refresh(self) -> None:
        """Let all be read again: sources, and what the ledger says of the models."""
        self._sources.again()
        self._picture.spoil()

    def _look_and_tell(self, model: Model) -> Look:
        try:
            found = self._look(model)
        except TreadleError as error:
            found = Look(model=model.name, failure=error)
        except Exception as error:  # noqa: BLE001 - it is logged and told, and the other models go on
            _log.exception("looking at model %s failed", model.name)
            found = Look(model=model.name, failure=error)
        self._tell(model, found)
        return found

    def _look(self, model: Model) -> Look:
        self._read(model)
        decision = self._seen.decide(model)
        interrupted = any(run.status == "running" for run in self._picture.runs(model.name))
        if not decision.due and not interrupted:
            self._seen.record(decision)
            return Look(model=model.name, decision=decision)
        # Kept with the run that it starts: an interrupted one has its decision already.
        try:
            turn = self._pipelines.turn_if_due(model, lambda: self._due(model))
        except NoRoom as full:
            details = (*decision.details, str(full))
            decision = msgspec.structs.replace(decision, due=False, reason=str(full), details=details)
            self._seen.record(decision)
            return Look(model=model.name, decision=decision)
        finally:
            self._refresh()  # it took its time
        if turn is None:  # another watcher did it between the two looks
            decision = self._decisions.decide(model)
        return Look(model=model.name, decision=decision, turn=turn)

    def _read(self, model: Model) -> None:
        """Read what is new in its sources; the picture is of before."""
        before = self._sources.found
        try:
            self._sources.read(model)
        finally:
            if self._sources.found != before:
                self._picture.spoil()

    def _due(self, model: Model) -> Due:
        facts = self._decisions.facts(model)
        decision = model.policy.decide(facts)

        def also(connection: Connection) -> None:
            self._decisions.save(decision, connection)
            requests.serve(connection, model.name, facts.requests)

        return Due(decision=decision, force=bool(facts.requests), also=also)

    def _tell(self, model: Model, look: Look) -> None:
        """Let those alerts be open that hold now; where that is so already, nothing is written."""
        found, rules = self._concerns.of(model), [*RULES]
        subject = f"model:{model.name}"
        if look.decision is not None:
            said = {UNPROVEN: look.decision.told, DECAYED: look.decision.harm}
            rules += said
            found += [Concern(rule, subject, " ".join(texts)) for rule, texts in said.items() if texts]
        if not look.may_pass and not isinstance(look.failure, StoreUnavailable):
            rules.append(STUCK)
            if look.failure is not None and not isinstance(look.failure, RunFailed):
                found.append(Concern(STUCK, subject, look.error))
        looked = {(rule, subject) for rule in rules}
        found += self._concerns.of_data(model)
        names = [model.data.name, *(view.name for view in model.features)]
        looked |= {(BAD_FILES, f"dataset:{name}") for name in names}
        self._rooms.alerts.see(found, looked=looked, standing=self._picture.alerts)
