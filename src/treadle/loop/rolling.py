"""Moves rollouts on: looks at what is true now, and advances, finishes or rolls back; a look may be missed or made twice."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import msgspec
from sqlalchemy import Connection

from treadle.core.clock import monotonic
from treadle.core.errors import Conflict, StoreUnavailable
from treadle.core.records import Revision, Variant
from treadle.core.rollout import GuardVerdict, RolloutState
from treadle.loop import promotions
from treadle.loop.rolled import RolloutLog
from treadle.loop.rooms import Rooms
from treadle.registry.collection import refuse_collected
from treadle.serving.guard import Case, Guard, judged, made
from treadle.serving.plan import Rollout
from treadle.serving.tallies import Tally

_log = logging.getLogger("treadle.loop")

#: Who acts when it is neither a person nor a guard.
WATCHER = "watcher"
#: Rule of the alert that a rollout was rolled back by a guard, or ended by somebody else's change.
RULE = "rollout"
#: Seconds between looks; and what share of the time reading the log may take.
EVERY, _SHARE = 2.0, 0.2


#: Who acts by hand where nobody says who he is.
PERSON = "a person"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout as it is now."""

    rollout: RolloutState
    #: What the guards say now.
    verdicts: tuple[GuardVerdict, ...]
    primary: Tally
    challenger: Tally
    #: What is due: roll back, advance, promote, or end; empty: nothing, for the reason given.
    due: str
    reason: str


class Rolling:
    """Looks at open rollouts."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        #: By rollout: when its log may be read again. Only a matter of pace: nothing depends on it.
        self._again: dict[str, float] = {}
        #: The state of the ledger at a look at which no rollout was open: as long as it stays, there is nothing to do.
        self._idle = ""

    def tick(self) -> list[RolloutState]:
        """Look at every open rollout, do what is due, and return those that changed; tell people of what went wrong.

        Raises:
            StoreUnavailable: the ledger does not answer.
        """
        changed: list[RolloutState] = []
        still = self._rooms.ledger.still()
        if still and still == self._idle:
            return changed
        there = self._rooms.rollouts.list(open_only=True)
        for state in there:
            try:
                fresh = self._act(self._standing(state, patient=True))
            except Conflict:
                continue  # somebody else was faster, and the next look finds what is so now
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 - a guard may be foreign code; the other rollouts go on
                _log.warning("rollout %s of endpoint %s: %s", state.id, state.endpoint, error)
                continue
            if fresh is not None:
                changed.append(fresh)
        self._tell()
        self._idle = "" if there else still
        return changed

    def standing(self, state: RolloutState) -> Standing:
        """Return how a rollout stands, with what its guards say now; nothing is changed."""
        return self._standing(state, patient=False)

    def start(
        self,
        version: str,
        plan: Rollout | None = None,
        *,
        reason: str,
        actor: str = PERSON,
        endpoint: str | None = None,
        expected: int | None = None,
    ) -> RolloutState:
        """Begin to roll out a version (as `delay/7`), by a plan: by default the one that its model's policy declares.

        `endpoint` is by default the model's own; `expected` is the revision that the caller has looked at.

        Raises:
            InvalidInput: the endpoint answers with that version already, or with several variants.
            Conflict: it has a rollout of that version, or another revision than `expected`.
            NotFound: there is no such version or endpoint.
        """
        found = self._rooms.models.get(version)
        refuse_collected(found)
        chosen = plan or self.plan(version)
        return self._rooms.rollouts.start(
            endpoint or found.model, found, chosen, actor=actor, reason=reason, expected=expected
        )

    def plan(self, version: str) -> Rollout:
        """Return the plan by which a version is rolled out: what its model's policy declares, or the usual one.

        Raises:
            NotFound: there is no such version.
        """
        return declared(self._rooms, self._rooms.models.get(version).model)

    def pause(self, name: str, *, reason: str, actor: str = PERSON) -> RolloutState:
        """Let a rollout (its id, or its endpoint) stay at its step; guards still roll it back.

        Raises:
            Conflict: it is not running, or somebody else has changed it meanwhile.
        """
        return self._rooms.rollouts.pause(self._rooms.rollouts.get(name), actor=actor, reason=reason)

    def resume(self, name: str, *, reason: str, actor: str = PERSON) -> RolloutState:
        """Let a paused rollout go on; its step begins anew.

        Raises:
            Conflict: it is not paused, or somebody else has changed it meanwhile.
        """
        return self._rooms.rollouts.resume(self._rooms.rollouts.get(name), actor=actor, reason=reason)

    def roll_back(self, name: str, *, reason: str, actor: str = PERSON) -> RolloutState:
        """Let the first variant answer everybody again.

        Raises:
            Conflict: it has ended already, or somebody else has changed it or its endpoint meanwhile.
        """
        return self._rooms.rollouts.roll_back(self._rooms.rollouts.get(name), actor=actor, reason=reason)

    def promote(self, name: str, *, reason: str, actor: str = PERSON) -> RolloutState:
        """Let the challenger answer everybody now, whatever the guards say.

        Raises:
            Conflict: it has ended already, or somebody else has changed it or its endpoint meanwhile.
        """
        return self._finish(self._rooms.rollouts.get(name), actor=actor, reason=reason, verdicts=())

    def watch(self, stop: threading.Event, *, every: float = EVERY) -> None:
        """Tick again and again until `stop` is set; while the ledger is away, wait for it."""
        while not stop.is_set():
            try:
                self.tick()
            except StoreUnavailable as error:
                self._rooms.progress.step(str(error))
            except Exception:  # noqa: BLE001 - it is logged, and the next look may find otherwise
                _log.exception("looking at rollouts failed")
            stop.wait(every)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Look at rollouts in a thread, as long as the block lasts: a training in it may take hours."""
        stop = threading.Event()
        thread = threading.Thread(target=self.watch, args=(stop,), name="treadle-rollouts", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=10)

    def _standing(self, state: RolloutState, *, patient: bool) -> Standing:
        primary, challenger = self._rooms.rollouts.tallies(state)
        case = Case(
            stage=state.now,
            primary=primary,
            challenger=challenger,
            stages=len(state.stages),
            logged=RolloutLog(self._rooms, state),
        )
        verdicts = self._judged([made(spec) for spec in state.guards], case, state, patient=patient)
        due, reason = self._due(state, challenger, verdicts)
        return Standing(
            rollout=state,
            verdicts=verdicts,
            primary=primary,
            challenger=challenger,
            due=due,
            reason=reason,
        )

    def _judged(
        self, guards: Sequence[Guard], case: Case, state: RolloutState, *, patient: bool
    ) -> tuple[GuardVerdict, ...]:
        """Ask the guards; where reading the log takes long, those that need it are not asked at every look."""
        fast = judged([guard for guard in guards if guard.needs == "tallies"], case)
        slow = [guard for guard in guards if guard.needs == "log"]
        if not slow or any(verdict.status == "bad" for verdict in fast):
            return fast
        begun = monotonic()
        if patient and begun < self._again.get(state.id, 0.0):
            rest = "It was judged a moment ago; reading the log takes long."
            return (*fast, *(GuardVerdict(guard=g.name, status="waiting", reason=rest) for g in slow))
        found = judged(slow, case)
        now = monotonic()
        self._again[state.id] = now + (now - begun) / _SHARE if now - begun > _SHARE * EVERY else now
        return (*fast, *found)

    def _due(
        self, state: RolloutState, challenger: Tally, verdicts: Sequence[GuardVerdict]
    ) -> tuple[str, str]:
        now = self._rooms.endpoints.get(state.endpoint)
        if now.revision != state.revision:
            return "end", f"{now.actor} changed the endpoint (revision {now.revision}): {now.reason}"
        bad = next((verdict for verdict in verdicts if verdict.status == "bad"), None)
        if bad is not None:
            return "roll back", bad.reason
        if state.status == "paused":
            return "", f"paused by {state.history[-1].actor}: {state.history[-1].reason}"
        ready = state.since + timedelta(seconds=state.now.bake)
        if self._rooms.clock.now() < ready:
            return "", f"bakes until {ready:%Y-%m-%d %H:%M:%S} UTC"
        if challenger.requests < state.now.requests:
            return "", f"has had {challenger.requests} of {state.now.requests} requests in this step"
        waiting = next((verdict for verdict in verdicts if verdict.status == "waiting"), None)
        if waiting is not None:
            return "", f"guard {waiting.guard} waits: {waiting.reason}"
        if state.stage + 1 < len(state.stages):
            return "advance", _well(verdicts)
        if not state.promote:
            return "", f"waits for a person: treadle rollouts promote {state.endpoint}"
        return "promote", _well(verdicts)

    def _act(self, found: Standing) -> RolloutState | None:
        state, verdicts, rollouts = found.rollout, found.verdicts, self._rooms.rollouts
        if found.due == "end":
            return rollouts.fail(state, actor=WATCHER, reason=found.reason)
        if found.due == "roll back":
            bad = next(verdict for verdict in verdicts if verdict.status == "bad")
            return rollouts.roll_back(state, actor=f"guard {bad.guard}", reason=bad.reason, verdicts=verdicts)
        if found.due == "advance":
            return rollouts.advance(state, actor=WATCHER, reason=found.reason, verdicts=verdicts)
        if found.due == "promote":
            return self._finish(state, actor=WATCHER, reason=found.reason, verdicts=verdicts)
        return None

    def _finish(
        self, state: RolloutState, *, actor: str, reason: str, verdicts: Sequence[GuardVerdict]
    ) -> RolloutState:
        challenger, rooms = state.challenger, self._rooms
        version = rooms.models.get(f"{challenger.model}/{challenger.version}")

        def promote(connection: Connection) -> Revision:
            if state.endpoint == version.model:
                return promotions.promote(rooms, version, actor=actor, reason=reason, connection=connection)
            alone = Variant(name=state.primary.name, model=version.model, version=version.version)
            return rooms.endpoints.revise(
                state.endpoint,
                [alone],
                actor=actor,
                reason=reason,
                expected=state.revision,
                connection=connection,
            )

        return rooms.rollouts.finish(state, promote, actor=actor, reason=reason, verdicts=verdicts)

    def _tell(self) -> None:
        """Let those alerts be open that hold now: a guard has rolled back, and nobody has changed the endpoint since."""
        found = {
            f"endpoint:{state.endpoint}": f"the rollout of {state.challenger.model}/{state.challenger.version} was {state.told()}"
            for state in self._rooms.rollouts.newest()
            if state.status == "rolled back"
            and state.history[-1].actor.startswith("guard ")
            and self._rooms.endpoints.get(state.endpoint).revision == state.revision
        }
        self._rooms.alerts.settle(RULE, found)


def declared(rooms: Rooms, model: str) -> Rollout:
    """Return the plan that a model's policy declares, or the usual one."""
    found = rooms.project.models.get(model)
    return (found.policy.rollout if found else None) or Rollout()


def _well(verdicts: Sequence[GuardVerdict]) -> str:
    if not verdicts:
        return "UNGUARDED: nothing was judged"
    return "; ".join(f"{verdict.guard}: {verdict.reason}" for verdict in verdicts)
