"""What keeps ledger, queue and web hooks of jobs together: done again and again, by whoever supervises workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import delete, func, select, update

from treadle.core.clock import Clock, parse_span
from treadle.core.errors import NotFound
from treadle.core.records import from_json
from treadle.serving.jobs import stored
from treadle.serving.jobs.jobs import Jobs
from treadle.serving.jobs.record import ENDED, OPEN, Job
from treadle.serving.jobs.results import unpack
from treadle.serving.jobs.scratch import Scratch
from treadle.store.ledger import tables
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects

_table = stored.jobs
#: Seconds after which a job that the queue may never have got is put into it again.
_UNQUEUED = 10.0
#: Seconds that a job may wait while the queue says that it is empty.
_FORGOTTEN = 60.0
#: Leases, and at least `_FORGOTTEN` seconds, for which nobody has said that he does a job: nobody does. A message whose taker
#: died comes again within one.
_SILENT_LEASES = 3
_AT_ONCE = 500


class Counted(NamedTuple):
    """How many jobs there are."""

    #: By state.
    states: Mapping[str, int]
    #: State → seconds since the oldest job in it was accepted.
    oldest: Mapping[str, float]
    #: Web hooks that were not taken yet.
    due: int


class Upkeep:
    """Looks at what is true now, so that a crash, or several that do the same, change nothing."""

    def __init__(
        self,
        jobs: Jobs,
        ledger: Ledger,
        objects: Objects,
        *,
        clock: Clock,
        retention: str,
        lease: float,
        scratch: Scratch | None = None,
    ) -> None:
        """Take the stores; `lease` is that of the queue, in seconds, and `scratch` where this machine's workers score rows."""
        self._jobs, self._ledger, self._objects, self._clock = jobs, ledger, objects, clock
        self._queue, self._retention = jobs.queue, parse_span(retention)
        #: Jobs that were put into the queue again.
        self.requeued = 0
        self._silent, self._scratch = timedelta(seconds=max(_SILENT_LEASES * lease, _FORGOTTEN)), scratch

    def reconcile(self) -> int:
        """Put jobs into the queue that it lacks, and note which ones it has parked; return how many were changed."""
        now, state = self._clock.now(), self._queue.state()
        # All of them are looked at: those that were noted before stay parked until a person decides.
        parked = {one.id: one.reason for one in (self._queue.parked(state.parked) if state.parked else ())}
        changed = sum(
            self._jobs.end(name, state="parked", states=OPEN, error=parked[name]) is not None
            for name in self._open_of(list(parked))
        )
        lacking = [
            job.id
            for job in self._waiting(now - timedelta(seconds=_UNQUEUED))
            if job.queued_at is None
            or (state.ready == 0 and not state.leased and (now - job.queued_at).total_seconds() > _FORGOTTEN)
        ]
        lacking += [job.id for job in self._running() if now - _last_sign(job) > self._silent]
        if lacking:
            self._queue.put([(name, b"") for name in lacking])
            for name in lacking:
                self._requeued(name, now)
            self.requeued += len(lacking)
        return changed + len(lacking)

    def sweep(self) -> int:
        """Remove jobs that ended long ago, with their inputs and results; return how many there were."""
        before = tables.micros(self._clock.now() - self._retention)
        query = select(_table.c.body).where(_table.c.state.in_(ENDED), _table.c.created_at < before)
        with self._ledger.read() as connection:
            old = [from_json(body, Job) for body in connection.scalars(query.limit(_AT_ONCE))]
        old = [job for job in old if job.finished_at and tables.micros(job.finished_at) < before]
        for job in old:
            self._jobs.drop(job.id)
            for digest in self._held(job):
                self._objects.delete(digest)
        with self._ledger.write() as connection:
            connection.execute(delete(_table).where(_table.c.id.in_([job.id for job in old])))
        if self._scratch is not None:
            self._scratch.sweep(self._all_open)
        return len(old)

    def counted(self) -> Counted:
        """Count all jobs.

        Raises:
            StoreUnavailable: the ledger does not answer.
        """
        by_state = select(_table.c.state, func.count(), func.min(_table.c.created_at)).group_by(
            _table.c.state
        )
        with self._ledger.read() as connection:
            found = connection.execute(by_state).all()
            due = connection.scalar(select(func.count()).where(_table.c.due > 0)) or 0
        now = tables.micros(self._clock.now())
        ages = {state: max(0.0, (now - first) / 1e6) for state, _, first in found}
        return Counted({state: count for state, count, _ in found}, ages, due)

    def has_open(self) -> bool:
        """Return whether a job has not ended, or has a web hook that was not taken."""
        wanted = _table.c.state.in_(OPEN) | (_table.c.due > 0)
        with self._ledger.read() as connection:
            return connection.execute(select(_table.c.id).where(wanted).limit(1)).first() is not None

    def due(self, limit: int, *, claim: float) -> list[Job]:
        """Return jobs whose web hook is to be called, and keep others from calling it for `claim` seconds."""
        now = self._clock.now()
        later = tables.micros(now + timedelta(seconds=claim))
        query = select(_table.c.body).where(
            _table.c.due > 0, _table.c.due <= tables.micros(now), _table.c.state.in_(ENDED)
        )
        with self._ledger.read() as connection:
            if connection.execute(query.limit(1)).first() is None:
                return []
        with self._ledger.write() as connection:
            found = [
                from_json(body, Job) for body in connection.scalars(query.order_by(_table.c.due).limit(limit))
            ]
            names = [job.id for job in found]
            connection.execute(update(_table).where(_table.c.id.in_(names)).values(due=later))
        return found

    def told(self, results: Sequence[tuple[Job, str, datetime | None]]) -> None:
        """Note of web hooks what went wrong (nothing: they were taken) and when they are tried again."""
        with self._ledger.write() as connection:
            for job, error, again in results:
                now = stored.find(connection, job.id)
                if now is None or now.hook is None or now.finished_at != job.finished_at:
                    continue
                hook = msgspec.structs.replace(
                    now.hook,
                    tries=now.hook.tries + 1,
                    error=error,
                    delivered_at=None if error else self._clock.now(),
                )
                stored.store(connection, msgspec.structs.replace(now, hook=hook), due=again)

    def _open_of(self, names: Sequence[str]) -> list[str]:
        """Return which of some jobs have not ended."""
        found: list[str] = []
        with self._ledger.read() as connection:
            for start in range(0, len(names), _AT_ONCE):
                some = _table.c.id.in_(names[start : start + _AT_ONCE])
                found += connection.scalars(select(_table.c.id).where(some, _table.c.state.in_(OPEN)))
        return found

    def _all_open(self) -> list[str]:
        with self._ledger.read() as connection:
            return list(connection.scalars(select(_table.c.id).where(_table.c.state.in_(OPEN))))

    def _running(self) -> list[Job]:
        """Return the jobs that somebody does, or did when he died."""
        with self._ledger.read() as connection:
            bodies = list(connection.scalars(select(_table.c.body).where(_table.c.state == "running")))
        return [from_json(body, Job) for body in bodies]

    def _waiting(self, before: datetime) -> list[Job]:
        query = select(_table.c.body).where(
            _table.c.state == "waiting", _table.c.created_at < tables.micros(before)
        )
        with self._ledger.read() as connection:
            bodies = list(connection.scalars(query.order_by(_table.c.created_at).limit(_AT_ONCE)))
        return [from_json(body, Job) for body in bodies]

    def _requeued(self, name: str, now: datetime) -> None:
        with self._ledger.write() as connection:
            job = stored.find(connection, name)
            if job is not None:
                stored.store(connection, msgspec.structs.replace(job, queued_at=now))

    def _held(self, job: Job) -> list[str]:
        """Return every object of a job, its result last, so that a sweep that was interrupted can go on."""
        found = [job.input, *job.parts]
        if job.result:
            with suppress(NotFound):
                found += [*unpack(self._jobs.part(job.result)).parts]
            found.append(job.result)
        return found


def _last_sign(job: Job) -> datetime:
    """Return when a job was last heard of."""
    return max(at for at in (job.created_at, job.queued_at, job.started_at, job.alive_at) if at is not None)
