"""Rollouts: how versions get their traffic, step by step, and lose it again; each change is one transaction.

Whoever changes a rollout names the state that he has looked at, by the length of its history. Where it is another by
now, the change is refused and nothing is written; so several watchers and servers may look at the same rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection, func, select

from treadle.core.clock import Clock
from treadle.core.errors import Conflict, InvalidInput, not_found
from treadle.core.ids import new_id
from treadle.core.paging import USUAL, Paged
from treadle.core.records import ModelVersion, Revision, Variant, from_json, to_json
from treadle.core.rollout import Change, GuardVerdict, RolloutState, Stage
from treadle.serving.endpoints import Endpoints
from treadle.serving.plan import Rollout
from treadle.serving.tallies import Reported, Tally, total
from treadle.store.ledger import paging, tables
from treadle.store.ledger.ledger import Ledger

#: What the variant of a rollout's version is called.
CHALLENGER = "challenger"


class Rollouts:
    """The rollouts of a project.

    >>> rollouts.start("delay", version, Rollout(), actor="anna", reason="new features")  # doctest: +SKIP
    """

    def __init__(self, ledger: Ledger, endpoints: Endpoints, clock: Clock) -> None:
        self._ledger, self._endpoints, self._clock = ledger, endpoints, clock

    def list(self, endpoint: str | None = None, *, open_only: bool = False) -> Sequence[RolloutState]:
        """Return rollouts, the newest first: of one endpoint or all, and perhaps only those that may still change."""
        table = tables.rollouts
        query = select(table.c.body).order_by(table.c.started_at.desc(), table.c.id.desc())
        if endpoint is not None:
            query = query.where(table.c.endpoint == endpoint)
        if open_only:
            query = query.where(table.c.status.in_(("running", "paused")))
        with self._ledger.read() as connection:
            return [from_json(body, RolloutState) for body in connection.scalars(query)]

    def page(self, endpoint: str = "", *, after: str = "", limit: int = USUAL) -> Paged[RolloutState]:
        """Return one part of the rollouts, the newest first: of one endpoint or all."""
        table = tables.rollouts
        wanted = select(table.c.body)
        wanted = wanted.where(table.c.endpoint == endpoint) if endpoint else wanted
        order = [table.c.started_at, table.c.id]
        with self._ledger.read() as connection:
            return paging.part(connection, wanted, RolloutState, by=order, after=after, limit=limit)

    def newest(self) -> Sequence[RolloutState]:
        """Return the newest rollout of each endpoint."""
        table = tables.rollouts
        last = select(func.max(table.c.id)).group_by(table.c.endpoint)
        with self._ledger.read() as connection:
            bodies = list(connection.scalars(select(table.c.body).where(table.c.id.in_(last))))
        return [from_json(body, RolloutState) for body in bodies]

    def get(self, name: str) -> RolloutState:
        """Return a rollout by its id, or the newest one of an endpoint.

        Raises:
            NotFound: there is none.
        """
        with self._ledger.read() as connection:
            body = connection.scalar(select(tables.rollouts.c.body).where(tables.rollouts.c.id == name))
        if body is not None:
            return from_json(body, RolloutState)
        found = self.list(name)
        if not found:
            raise not_found("rollout or endpoint with a rollout", name, {one.endpoint for one in self.list()})
        return found[0]

    def start(
        self,
        endpoint: str,
        version: ModelVersion,
        plan: Rollout,
        *,
        actor: str,
        reason: str,
        expected: int | None = None,
        connection: Connection | None = None,
    ) -> RolloutState:
        """Give a version the first step of its traffic; a running rollout of the endpoint is rolled back for it.

        `expected` is the endpoint's revision that the caller has looked at; None: whatever there is.

        Raises:
            InvalidInput: the endpoint answers with that version already, or with several variants.
            Conflict: the endpoint is at another revision than `expected`.
            NotFound: there is no such endpoint.
        """
        with self._ledger.write(connection) as writer:
            known = self._endpoints.get(endpoint, connection=writer)
            if expected is not None and known.revision != expected:
                msg = f"Endpoint {endpoint} is at revision {known.revision}, but {expected} was expected. Read it again."
                raise Conflict(msg)
            self._end_others(writer, endpoint, version, actor)
            self._forget(writer, endpoint)
            before = self._endpoints.get(endpoint, connection=writer)
            primary = _only(before, version)
            challenger = Variant(name=CHALLENGER, model=version.model, version=version.version)
            stage = plan.stages[0]
            id_ = new_id("rollout")
            said = f"{reason} ({_warning(plan)})" if not plan.guards else reason
            revision = self._revise(
                writer, endpoint, _variants(primary, challenger, stage), actor, said, before.revision, id_
            )
            now = self._clock.now()
            change = Change(
                at=now, what="started", actor=actor, reason=said, stage=0, revision=revision.revision
            )
            state = RolloutState(
                id=id_,
                endpoint=endpoint,
                primary=primary,
                challenger=challenger,
                stages=plan.stages,
                guards=tuple(guard.spec() for guard in plan.guards),
                promote=plan.promote,
                since=now,
                revision=revision.revision,
                started_at=now,
                history=(change,),
                parents=(version.ref, before.ref),
            )
            self._put(writer, state)
        return state

    def advance(
        self, state: RolloutState, *, actor: str, reason: str, verdicts: Sequence[GuardVerdict] = ()
    ) -> RolloutState:
        """Go to the next step.

        Raises:
            Conflict: the rollout or its endpoint has changed meanwhile.
        """
        with self._checked(state, "running") as writer:
            stage = state.stage + 1
            variants = _variants(state.primary, state.challenger, state.stages[stage])
            revision = self._revise(writer, state.endpoint, variants, actor, reason, state.revision, state.id)
            return self._changed(
                writer, state, "advanced", actor, reason, verdicts, stage=stage, revision=revision.revision
            )

    def pause(self, state: RolloutState, *, actor: str, reason: str) -> RolloutState:
        """Stay at the step; the guards still roll back.

        Raises:
            Conflict: it is not running, or has changed meanwhile.
        """
        with self._checked(state, "running") as writer:
            return self._changed(writer, state, "paused", actor, reason)

    def resume(self, state: RolloutState, *, actor: str, reason: str) -> RolloutState:
        """Go on; the step begins anew.

        Raises:
            Conflict: it is not paused, or has changed meanwhile.
        """
        with self._checked(state, "paused") as writer:
            return self._changed(writer, state, "resumed", actor, reason)

    def roll_back(
        self, state: RolloutState, *, actor: str, reason: str, verdicts: Sequence[GuardVerdict] = ()
    ) -> RolloutState:
        """Let the first variant answer everybody again.

        Raises:
            Conflict: it has ended already, or the rollout or its endpoint has changed meanwhile.
        """
        with self._checked(state, "running", "paused") as writer:
            return self._roll_back(writer, state, actor, reason, verdicts)

    def finish(
        self,
        state: RolloutState,
        promote: Callable[[Connection], Revision],
        *,
        actor: str,
        reason: str,
        verdicts: Sequence[GuardVerdict] = (),
    ) -> RolloutState:
        """Let the challenger answer everybody: `promote` makes the revision, in the same transaction.

        Raises:
            Conflict: it has ended already, or the rollout or its endpoint has changed meanwhile.
        """
        with self._checked(state, "running", "paused") as writer:
            self._same_revision(writer, state)
            revision = promote(writer)
            self._forget(writer, state.endpoint)
            return self._changed(
                writer, state, "promoted", actor, reason, verdicts, revision=revision.revision
            )

    def fail(self, state: RolloutState, *, reason: str, actor: str) -> RolloutState:
        """End a rollout whose endpoint was changed by somebody else; the endpoint stays as it is.

        Raises:
            Conflict: it has ended already, or has changed meanwhile.
        """
        with self._checked(state, "running", "paused") as writer:
            self._forget(writer, state.endpoint)
            return self._changed(writer, state, "failed", actor, reason)

    def report(self, reported: Reported) -> None:
        """Write down what a server has counted."""
        with self._ledger.write() as connection:
            tables.put(
                connection,
                tables.tallies,
                server=reported.server,
                endpoint=reported.endpoint,
                revision=reported.revision,
                at=self._ledger.store_time(connection),
                body=msgspec.json.encode(reported).decode(),
            )

    def tallies(self, state: RolloutState) -> tuple[Tally, Tally]:
        """Return what all servers have counted of the first variant and of the challenger in this step."""
        table = tables.tallies
        here = (table.c.endpoint == state.endpoint) & (table.c.revision == state.revision)
        with self._ledger.read() as connection:
            bodies = list(connection.scalars(select(table.c.body).where(here)))
        found = [msgspec.json.decode(body, type=Reported).tallies for body in bodies]
        primary, challenger = (
            total(tallies[name] for tallies in found if name in tallies)
            for name in (state.primary.name, state.challenger.name)
        )
        return primary, challenger

    def _end_others(self, writer: Connection, endpoint: str, version: ModelVersion, actor: str) -> None:
        table = tables.rollouts
        open_ = (table.c.endpoint == endpoint) & table.c.status.in_(("running", "paused"))
        for body in list(writer.scalars(select(table.c.body).where(open_))):
            state = from_json(body, RolloutState)
            if (state.challenger.model, state.challenger.version) == (version.model, version.version):
                msg = f"{version.model}/{version.version} has a rollout already ({state.id}): {state.told()}."
                raise Conflict(msg)
            reason = f"{version.model}/{version.version} takes its place"
            if self._endpoints.get(endpoint, connection=writer).revision == state.revision:
                self._roll_back(writer, state, actor, reason, ())
            else:
                self._changed(writer, state, "failed", actor, reason)

    def _roll_back(
        self,
        writer: Connection,
        state: RolloutState,
        actor: str,
        reason: str,
        verdicts: Sequence[GuardVerdict],
    ) -> RolloutState:
        alone = [msgspec.structs.replace(state.primary, weight=1.0)]
        revision = self._revise(writer, state.endpoint, alone, actor, reason, state.revision, state.id)
        self._forget(writer, state.endpoint)
        return self._changed(
            writer, state, "rolled back", actor, reason, verdicts, revision=revision.revision
        )

    def _revise(
        self,
        writer: Connection,
        endpoint: str,
        variants: Sequence[Variant],
        actor: str,
        reason: str,
        expected: int,
        rollout: str,
    ) -> Revision:
        return self._endpoints.revise(
            endpoint,
            variants,
            actor=actor,
            reason=reason,
            expected=expected,
            rollout=rollout,
            connection=writer,
        )

    def _same_revision(self, writer: Connection, state: RolloutState) -> None:
        found = self._endpoints.get(state.endpoint, connection=writer)
        if found.revision != state.revision:
            msg = (
                f"Endpoint {state.endpoint} is at revision {found.revision} (by {found.actor}: {found.reason}), and the "
                f"rollout at {state.revision}. Somebody changed it meanwhile."
            )
            raise Conflict(msg)

    @contextmanager
    def _checked(self, state: RolloutState, *statuses: str) -> Iterator[Connection]:
        """Open the transaction of a change, and make sure that the rollout is as the caller knows it."""
        query = select(tables.rollouts.c.body).where(tables.rollouts.c.id == state.id)
        with self._ledger.write() as writer:
            now = from_json(writer.scalar(query) or b"", RolloutState)
            if now.status not in statuses or len(now.history) != len(state.history):
                msg = f"Rollout {state.id} of endpoint {state.endpoint} is {now.told()}. Expected it {' or '.join(statuses)}, as read."
                raise Conflict(msg)
            yield writer

    def _changed(
        self,
        writer: Connection,
        state: RolloutState,
        what: str,
        actor: str,
        reason: str,
        verdicts: Sequence[GuardVerdict] = (),
        *,
        stage: int | None = None,
        revision: int | None = None,
    ) -> RolloutState:
        now = self._clock.now()
        stage = state.stage if stage is None else stage
        change = Change(
            at=now,
            what=what,
            actor=actor,
            reason=reason,
            stage=stage,
            revision=revision,
            verdicts=tuple(verdicts),
        )
        status = {"advanced": "running", "resumed": "running"}.get(what, what)
        fresh = msgspec.structs.replace(
            state,
            status=status,
            stage=stage,
            since=now if what in {"advanced", "resumed"} else state.since,
            revision=state.revision if revision is None else revision,
            history=(*state.history, change),
        )
        self._put(writer, fresh)
        return fresh

    def _put(self, writer: Connection, state: RolloutState) -> None:
        tables.put(
            writer,
            tables.rollouts,
            id=state.id,
            endpoint=state.endpoint,
            status=state.status,
            started_at=tables.micros(state.started_at),
            changed_at=tables.micros(state.history[-1].at),
            body=to_json(state),
        )

    def _forget(self, writer: Connection, endpoint: str) -> None:
        writer.execute(tables.tallies.delete().where(tables.tallies.c.endpoint == endpoint))


def _warning(plan: Rollout) -> str:
    return f"UNGUARDED: nothing watches the {len(plan.stages)} steps"


def _variants(primary: Variant, challenger: Variant, stage: Stage) -> list[Variant]:
    return [
        msgspec.structs.replace(primary, weight=1 - stage.share),
        msgspec.structs.replace(challenger, weight=stage.share, shadow=stage.shadow),
    ]


def _only(revision: Revision, version: ModelVersion) -> Variant:
    if len(revision.variants) != 1:
        names = ", ".join(variant.name for variant in revision.variants)
        msg = f"Endpoint {revision.endpoint} has the variants {names}. A rollout needs one that answers: set it first."
        raise InvalidInput(msg, field="endpoint")
    primary = revision.variants[0]
    if (primary.model, primary.version) == (version.model, version.version):
        msg = f"Endpoint {revision.endpoint} answers with {version.model}/{version.version} already."
        raise InvalidInput(msg, field="version")
    if primary.name == CHALLENGER:
        return msgspec.structs.replace(primary, name="champion")
    return primary
