"""Endpoints: the stable names that callers use, their numbered revisions, and which server has loaded which."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from threading import Event

import msgspec
from sqlalchemy import Connection, func, select

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import Busy, Conflict, InvalidInput, NotFound, PackageRefused, not_found
from treadle.core.records import Revision, ServerState, Variant, from_json, to_json
from treadle.core.traffic import Split, Traffic
from treadle.serving import bandit, mixture
from treadle.store.ledger import processes, tables
from treadle.store.ledger.ledger import Ledger

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
#: Seconds after which a server of another machine that has not reported counts as dead.
SILENCE = 90.0
_LOOK = 0.05
_SPLIT = Split()


class Endpoints:
    """The endpoints of a project.

    >>> endpoints.revise("delay", [Variant(name="champion", model="delay", version=3)],  # doctest: +SKIP
    ...                  actor="watcher", reason="passed its gates", expected=2)
    """

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        #: Where they are kept.
        self.ledger = ledger
        self._ledger = ledger
        self._clock = clock

    def names(self) -> list[str]:
        """Return the names of all endpoints, sorted."""
        query = select(tables.revisions.c.endpoint).distinct().order_by(tables.revisions.c.endpoint)
        with self._ledger.read() as connection:
            return list(connection.scalars(query))

    def get(self, name: str, *, connection: Connection | None = None) -> Revision:
        """Return the current revision of an endpoint; with `connection`, as that transaction sees it.

        Raises:
            NotFound: there is no endpoint of that name.
        """
        with self._ledger.read(connection) as reader:
            found = _current(reader, name)
        if found is None:
            raise not_found("endpoint", name, self.names())
        return found

    def current(self) -> dict[str, Revision]:
        """Return the current revision of every endpoint, by name."""
        latest = select(tables.revisions.c.endpoint, func.max(tables.revisions.c.revision).label("last"))
        last = latest.group_by(tables.revisions.c.endpoint).subquery()
        query = select(tables.revisions.c.body).join(
            last,
            (tables.revisions.c.endpoint == last.c.endpoint) & (tables.revisions.c.revision == last.c.last),
        )
        with self._ledger.read() as connection:
            found = [from_json(body, Revision) for body in connection.scalars(query)]
        return {revision.endpoint: revision for revision in found}

    def revision(self, name: str, number: int) -> Revision:
        """Return one revision of an endpoint.

        Raises:
            NotFound: there is no such endpoint, or no such revision of it.
        """
        chosen = (tables.revisions.c.endpoint == name) & (tables.revisions.c.revision == number)
        with self._ledger.read() as connection:
            body = connection.execute(select(tables.revisions.c.body).where(chosen)).scalar()
        if body is None:
            newest = self.get(name).revision
            msg = f"Endpoint {name} has no revision {number}. Its newest is {newest}."
            raise NotFound(msg)
        return from_json(body, Revision)

    def revisions(self, name: str) -> list[Revision]:
        """Return all revisions of an endpoint, the oldest first.

        Raises:
            NotFound: there is no endpoint of that name.
        """
        query = select(tables.revisions.c.body).where(tables.revisions.c.endpoint == name)
        with self._ledger.read() as connection:
            bodies = list(connection.scalars(query.order_by(tables.revisions.c.revision)))
        if not bodies:
            raise not_found("endpoint", name, self.names())
        return [from_json(body, Revision) for body in bodies]

    def revise(
        self,
        name: str,
        variants: Sequence[Variant],
        *,
        actor: str,
        reason: str,
        expected: int | None,
        traffic: Traffic = _SPLIT,
        holdout: float | None = None,
        rollout: str = "",
        connection: Connection | None = None,
    ) -> Revision:
        """Make a new revision; servers load it within their `poll_interval`.

        `expected` is the revision that the caller has looked at (0: there is none yet; None: whatever there is).
        `holdout` is the share of the subjects that stay with the first variant; None: as before. `rollout` is the id of the
        rollout that asks.
        With `connection`, the change is part of that write transaction.

        Raises:
            InvalidInput: the name or the variants are not valid.
            Conflict: the current revision is another than `expected`.
        """
        _check(name, variants, holdout)
        mixture.check(traffic, variants)
        bandit.check(traffic, variants)
        with self._ledger.write(connection) as writer:
            before = _current(writer, name)
            number = before.revision if before else 0
            if expected is not None and number != expected:
                raise _conflict(name, before, expected)
            revision = Revision(
                endpoint=name,
                revision=number + 1,
                variants=tuple(variants),
                traffic=traffic,
                rollout=rollout,
                holdout=holdout if holdout is not None else before.holdout if before else 0.0,
                created_at=self._clock.now(),
                actor=actor,
                reason=reason,
                parents=tuple(f"model_version:{v.model}/{v.version}" for v in variants),
            )
            row = {"endpoint": name, "revision": number + 1, "created_at": tables.micros(revision.created_at)}
            writer.execute(tables.revisions.insert().values(**row, body=to_json(revision)))
        return revision

    def report(self, state: ServerState) -> None:
        """Write down what a server has loaded; its moment becomes that of the ledger's own clock."""
        with self._ledger.write() as connection:
            at = self._ledger.store_time(connection)
            stamped = msgspec.structs.replace(state, at=tables.moment(at))
            tables.put(
                connection,
                tables.servers,
                server=state.server,
                endpoint=state.endpoint,
                revision=state.revision,
                at=at,
                body=to_json(stamped),
            )

    def forget(self, server: str) -> None:
        """Remove what a server that has ended had reported."""
        with self._ledger.write() as connection:
            connection.execute(tables.servers.delete().where(tables.servers.c.server == server))

    def sweep(self) -> None:
        """Remove what servers had reported that have died without a word."""
        with self._ledger.read() as connection:
            now = self._ledger.store_time(connection)
            found = [
                from_json(body, ServerState) for body in connection.scalars(select(tables.servers.c.body))
            ]
        for server in {state.server for state in found if not _alive(state, now)}:
            self.forget(server)

    def states(self, name: str) -> list[ServerState]:
        """Return what each live server has loaded for an endpoint."""
        query = select(tables.servers.c.body).where(tables.servers.c.endpoint == name)
        with self._ledger.read() as connection:
            now = self._ledger.store_time(connection)
            found = [from_json(body, ServerState) for body in connection.scalars(query)]
        return [state for state in found if _alive(state, now)]

    def wait(self, name: str, revision: int, *, timeout: float) -> list[ServerState]:
        """Wait until every live server answers with a revision or a later one; return their states.

        Raises:
            PackageRefused: a server has refused it; the message says why.
            Busy: a server had not loaded it after `timeout` seconds.
        """
        deadline, pause = monotonic() + timeout, Event()
        while True:
            states = self.states(name)
            behind = [state for state in states if state.revision < revision]
            refused = [state for state in behind if state.refused == revision]
            if refused:
                raise PackageRefused(refused[0].error)
            if not behind:
                return states
            if monotonic() > deadline:
                msg = (
                    f"Server {behind[0].server} still answers {name} with revision {behind[0].revision} and not "
                    f"{revision} after {timeout:g} s. Look at its log, or wait longer."
                )
                raise Busy(msg)
            pause.wait(_LOOK)


def _current(connection: Connection, name: str) -> Revision | None:
    query = select(tables.revisions.c.body).where(tables.revisions.c.endpoint == name)
    body = connection.scalar(query.order_by(tables.revisions.c.revision.desc()).limit(1))
    return None if body is None else from_json(body, Revision)


def _check(name: str, variants: Sequence[Variant], holdout: float | None) -> None:
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot name an endpoint. Expected up to 100 letters, digits, '_', '.' and '-', as 'delay'."
        raise InvalidInput(msg, field="name")
    names = [variant.name for variant in variants]
    if not names or len(set(names)) != len(names):
        msg = f"The variants are called {', '.join(names) or 'nothing'}. Expected one or more, with different names."
        raise InvalidInput(msg, field="variants")
    weights = [variant.weight for variant in variants]
    if not all(0 <= weight <= 1 for weight in weights) or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        msg = f"The variants' weights are {', '.join(map(str, weights))}. Expected shares that add up to 1."
        raise InvalidInput(msg, field="variants")
    for variant in variants:
        if not 0 <= variant.shadow <= 1 or (variant.shadow and variant.weight):
            msg = (
                f"Variant {variant.name} has shadow={variant.shadow} and weight={variant.weight}. Expected a shadow of "
                "0 to 1, and the weight 0 where there is one: a shadow does not answer."
            )
            raise InvalidInput(msg, field="variants")
    if variants[0].shadow:
        msg = f"The first variant, {variants[0].name}, is a shadow. Expected one that answers: name it first."
        raise InvalidInput(msg, field="variants")
    if holdout is not None and not 0 <= holdout < 1:
        msg = f"The holdout is {holdout}. Expected a share of the subjects: 0 or more, and less than 1."
        raise InvalidInput(msg, field="holdout")


def _conflict(name: str, now: Revision | None, expected: int) -> Conflict:
    if now is None:
        return Conflict(f"Endpoint {name} has no revision yet, but {expected} was expected. Read it again.")
    return Conflict(
        f"Endpoint {name} is at revision {now.revision} (by {now.actor}: {now.reason}), but {expected} was "
        "expected. Somebody changed it meanwhile: read it again and repeat the change."
    )


def _alive(state: ServerState, now: int) -> bool:
    process = msgspec.json.decode(state.process, type=processes.Process) if state.process else None
    if process and processes.is_dead(process):
        return False
    here = processes.this()
    if process and (process.boot, process.space) == (here.boot, here.space) and here.boot:
        return True
    return now - tables.micros(state.at) < SILENCE * 1e6
