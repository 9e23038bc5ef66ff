"""Versions that passed their gates and wait until a person approves them, where the policy asks for that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import Connection, insert, select, update

from treadle.core import plugins
from treadle.core.errors import Conflict, NotFound
from treadle.core.ids import digest_of
from treadle.core.records import ModelVersion, Record, from_json, to_json
from treadle.loop.models import Model
from treadle.loop.promotions import CHAMPION
from treadle.loop.releases import Release
from treadle.loop.rooms import Rooms
from treadle.store.ledger import tables as t

#: Rule of the alert that is open as long as a version of a model waits.
RULE = "approval"
ApprovalState = Literal["waiting", "approved", "rejected", "replaced"]


class Approval(Record, frozen=True, kw_only=True):
    """A version that passed its gates, and what a person said to that."""

    model: str
    version: int
    #: `replaced`: a newer version that passed its gates took its place before anybody decided.
    state: ApprovalState = "waiting"
    run: str
    #: The verdicts' sentences.
    reason: str
    asked_at: datetime
    #: What becomes of it when it is approved: the policy's action.
    action: str
    #: The champion that it was judged beside; None: there was none.
    champion: int | None = None
    #: Digest of the gates and baselines that it was judged with.
    gates: str
    #: Who decided, when, and why.
    actor: str = ""
    decided_at: datetime | None = None
    why: str = ""


def release(model: Model, passed: Release, *, champion: ModelVersion | None) -> str:
    """Do what the policy says with a version that passed its gates beside a champion; return what became of it."""
    if model.policy.approval:
        return Approvals(passed.rooms).ask(model, passed, champion=champion)
    done: str = plugins.load("action", model.policy.action).apply(passed)
    return done


class Approvals:
    """What waits for a person, and what was decided."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def ask(self, model: Model, passed: Release, *, champion: ModelVersion | None) -> str:
        """Let a version wait, in the transaction of its run; one that waited until now is replaced by it."""
        version, now = passed.version, self._rooms.clock.now()
        why = f"version {version.version} passed its gates"
        for older in _select(passed.connection, model.name, state="waiting"):
            if older.version != version.version:
                _decide(passed.connection, older, "replaced", actor=passed.run.id, why=why, at=now)
        waiting = Approval(
            model=model.name,
            version=version.version,
            run=passed.run.id,
            reason=passed.reason,
            asked_at=now,
            action=model.policy.action,
            champion=champion.version if champion else None,
            gates=_gates(model),
            parents=(version.ref, passed.run.ref),
        )
        if _find(passed.connection, model.name, version.version) is None:
            row = {"model": model.name, "version": version.version, "state": waiting.state}
            passed.connection.execute(
                insert(t.approvals).values(**row, asked_at=t.micros(now), body=to_json(waiting))
            )
        self._rooms.alerts.raise_(RULE, _subject(model.name), told(waiting), connection=passed.connection)
        return f"version {version.version} passed its gates and waits for approval: {_command(waiting)}"

    def list(self, model: str | None = None, *, state: ApprovalState | None = None) -> Sequence[Approval]:
        """Return what waited or waits, of a model or of all, oldest first."""
        with self._rooms.ledger.read() as connection:
            return _select(connection, model, state=state)

    def approve(self, model: Model, version: ModelVersion, *, actor: str, reason: str) -> Approval:
        """Do with a waiting version what the policy said when it passed. Of two people who decide at once, one does.

        Raises:
            NotFound: the version has never waited.
            Conflict: it was decided already, a newer version took its place, or it was judged beside another champion or
                with other gates than there are now.
        """
        rooms = self._rooms
        run = rooms.runs.get(version.run)
        with rooms.ledger.write() as connection:
            waiting = self._waiting(connection, version)
            hindrance = self._hindrance(connection, model, waiting)
            if hindrance:
                raise Conflict(hindrance)
            done = _decide(connection, waiting, "approved", actor=actor, why=reason, at=rooms.clock.now())
            approved = Release(rooms, run, version, connection, reason, approved_by=actor)
            plugins.load("action", waiting.action).apply(approved)
        self.resolve(model.name)
        return done

    def reject(self, version: ModelVersion, *, actor: str, reason: str) -> Approval:
        """Say no to a waiting version; who answers stays as it is.

        Raises:
            NotFound: the version has never waited.
            Conflict: it was decided already.
        """
        with self._rooms.ledger.write() as connection:
            waiting = self._waiting(connection, version)
            done = _decide(
                connection, waiting, "rejected", actor=actor, why=reason, at=self._rooms.clock.now()
            )
        self.resolve(version.model)
        return done

    def settle(self, version: ModelVersion, *, actor: str, reason: str, connection: Connection) -> None:
        """Note, in a caller's transaction, that a person made a version the champion without being asked."""
        found = _find(connection, version.model, version.version)
        if found is not None and found.state == "waiting":
            _decide(connection, found, "approved", actor=actor, why=reason, at=self._rooms.clock.now())

    def became(self, model: str, version: int | None) -> str:
        """Return what a person has said to a version that waited, in words; empty: nobody was asked, or it still waits."""
        if version is None:
            return ""
        with self._rooms.ledger.read() as connection:
            found = _find(connection, model, version)
        if found is None or found.state == "waiting":
            return ""
        if found.state == "replaced":
            return f"version {version} no longer waits: {found.why} and took its place"
        return f"version {version} was {found.state} by {found.actor}: {found.why}"

    def hindrance(self, model: Model, waiting: Approval) -> str:
        """Say why a waiting version can no longer be approved; empty: it can."""
        with self._rooms.ledger.read() as connection:
            return self._hindrance(connection, model, waiting)

    def _waiting(self, connection: Connection, version: ModelVersion) -> Approval:
        found = _find(connection, version.model, version.version)
        if found is None:
            others = [f"{a.model}/{a.version}" for a in _select(connection, version.model, state="waiting")]
            msg = f"{version.model}/{version.version} does not wait for approval. Waiting: {', '.join(others) or 'nothing'}."
            raise NotFound(msg)
        if found.state == "replaced":
            msg = f"{found.model}/{found.version} no longer waits: {found.why} and took its place."
            raise Conflict(msg)
        if found.state != "waiting":
            raise Conflict(_decided(found))
        return found

    def _hindrance(self, connection: Connection, model: Model, waiting: Approval) -> str:
        name = f"{waiting.model}/{waiting.version}"
        again = f"Judge anew: treadle run {waiting.model} --force"
        aliases = self._rooms.models.aliases(waiting.model, connection=connection)
        champion = aliases.get(CHAMPION)
        if champion != waiting.champion:
            then = f"version {waiting.champion}" if waiting.champion else "no champion"
            return f"{name} was judged beside {then}, and the champion is version {champion} now. {again}"
        newer = [
            f"{alias} is version {number}" for alias, number in aliases.items() if number > waiting.version
        ]
        if newer:
            return f"{name} is no longer the newest: {', '.join(newer)}. {again}"
        if _gates(model) != waiting.gates:
            return f"The gates or baselines of {model.name!r} have changed since {name} was judged. {again}"
        return ""

    def resolve(self, model: str) -> None:
        """Close the alert of a model of which nothing waits any more."""
        if not self.list(model, state="waiting"):
            self._rooms.alerts.resolve(RULE, _subject(model))
        self._rooms.alerts.deliver()


def told(waiting: Approval) -> str:
    """Return what a person is told of a version that waits; the same words for every version of a model."""
    return (
        f"A version of {waiting.model!r} passed its gates and waits for a person. See which: treadle status. Then: treadle models "
        f"approve {waiting.model}/VERSION --reason '...', or reject."
    )


def _command(waiting: Approval) -> str:
    return f"treadle models approve {waiting.model}/{waiting.version} --reason '...'"


def _subject(model: str) -> str:
    return f"model:{model}"


def _gates(model: Model) -> str:
    return digest_of(model.judging())


def _decided(found: Approval) -> str:
    return (
        f"{found.model}/{found.version} was {found.state} already, by {found.actor} at {found.decided_at:%Y-%m-%d %H:%M} UTC: "
        f"{found.why}"
    )


def _find(connection: Connection, model: str, version: int) -> Approval | None:
    chosen = (t.approvals.c.model == model) & (t.approvals.c.version == version)
    body = connection.execute(select(t.approvals.c.body).where(chosen)).scalar()
    return from_json(body, Approval) if body else None


def _select(connection: Connection, model: str | None, *, state: str | None) -> list[Approval]:
    wanted = select(t.approvals.c.body).order_by(t.approvals.c.asked_at, t.approvals.c.version)
    if model is not None:
        wanted = wanted.where(t.approvals.c.model == model)
    if state is not None:
        wanted = wanted.where(t.approvals.c.state == state)
    return [from_json(body, Approval) for body in connection.execute(wanted).scalars()]


def _decide(
    connection: Connection, waiting: Approval, state: ApprovalState, *, actor: str, why: str, at: datetime
) -> Approval:
    """Write a decision down, if nobody else has decided."""
    done = msgspec.structs.replace(waiting, state=state, actor=actor, why=why, decided_at=at)
    chosen = (t.approvals.c.model == waiting.model) & (t.approvals.c.version == waiting.version)
    written = connection.execute(
        update(t.approvals)
        .where(chosen, t.approvals.c.state == "waiting")
        .values(state=state, decided_at=t.micros(at), body=to_json(done))
    )
    if written.rowcount != 1:
        raise Conflict(_decided(_find(connection, waiting.model, waiting.version) or done))
    return done
