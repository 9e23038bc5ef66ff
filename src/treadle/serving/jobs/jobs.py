"""Jobs: what was accepted stays in the ledger, with one result each; the queue only says whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import delete, select

from treadle.core import hooks
from treadle.core.addresses import Allowed, resolve
from treadle.core.clock import Clock
from treadle.core.errors import AlreadyExists, Conflict, NotFound, StoreUnavailable
from treadle.core.ids import digest_of_bytes, new_id
from treadle.core.records import from_json
from treadle.serving.jobs import stored
from treadle.serving.jobs.record import OPEN, Hook, Job, State
from treadle.store.ledger import tables
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.store.queue.queue import Queue, check_id

_jobs = stored.jobs
#: Seconds in which the host of a web hook has to be found, while its caller waits.
_FIND_HOST = 2.0


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of a job, with its id, so that no two jobs share an object."""

    job: str
    data: bytes


class Jobs:
    """The jobs of a project.

    >>> jobs.submit("delay", body, hook="https://example.org/done")         # doctest: +SKIP
    """

    def __init__(
        self,
        ledger: Ledger,
        objects: Objects,
        queue: Queue,
        *,
        clock: Clock,
        allowed: Allowed,
    ) -> None:
        """Take the stores; `objects` must be a place of its own, for what is there is removed with its job."""
        self._ledger, self._objects, self._queue, self._clock = ledger, objects, queue, clock
        self._allowed = allowed
        self.queue = queue

    def submit(self, endpoint: str, body: bytes, *, hook: str = "", name: str = "") -> tuple[Job, bool]:
        """Accept a job, and say whether it is new: one that is sent again with the same `name` and body is the same job.

        Raises:
            InvalidInput: the web hook may not be called, or the name cannot be an id.
            AlreadyExists: another job has this id.
            StoreUnavailable: it was not accepted. Send it again.
        """
        if hook:
            _check_hook(hook, self._allowed)
        if name:
            check_id(name)
        self._check_queue(name)
        name = name or new_id("job")
        digest = self._keep(name, body)
        job = Job(
            id=name,
            endpoint=endpoint,
            state="waiting",
            created_at=self._clock.now(),
            input=digest,
            hook=Hook(url=hook) if hook else None,
        )
        with self._ledger.write() as connection:
            before = stored.find(connection, name)
            if before is None:
                stored.add(connection, job)
        if before is not None:
            self._same(before, job)
            if before.queued_at is not None or before.state != "waiting":
                return before, False
        try:
            self._queue.put([(name, b"")])
        except StoreUnavailable:
            # Nobody was told that it is accepted; a worker that gets it all the same finds no job.
            if before is None:
                with suppress(StoreUnavailable), self._ledger.write() as connection:
                    connection.execute(delete(_jobs).where(_jobs.c.id == name, _jobs.c.state == "waiting"))
            raise
        return self._queued(job), before is None

    def get(self, name: str) -> Job:
        """Return a job.

        Raises:
            NotFound: there is none of that id, or it was removed after `jobs.retention`.
        """
        with self._ledger.read() as connection:
            found = stored.find(connection, name)
        if found is None:
            msg = f"There is no job {name[:200]!r}. Finished ones are removed after a while (setting jobs.retention)."
            raise NotFound(msg)
        return found

    def recent(
        self, *, endpoint: str | None = None, state: State | None = None, limit: int = 100, before: str = ""
    ) -> list[Job]:
        """Return jobs, the newest first; `before` is the id of the last one of the page before."""
        query = select(_jobs.c.body).order_by(_jobs.c.created_at.desc(), _jobs.c.id.desc()).limit(limit)
        if endpoint is not None:
            query = query.where(_jobs.c.endpoint == endpoint)
        if state is not None:
            query = query.where(_jobs.c.state == state)
        if before:
            last = self.get(before)
            at = tables.micros(last.created_at)
            query = query.where(
                (_jobs.c.created_at < at) | ((_jobs.c.created_at == at) & (_jobs.c.id < last.id))
            )
        with self._ledger.read() as connection:
            return [from_json(body, Job) for body in connection.scalars(query)]

    def cancel(self, name: str) -> Job:
        """End a job without a result; one that is being worked on has no effect any more.

        Raises:
            NotFound: there is no such job.
            Conflict: it has ended already, otherwise.
        """
        found = self.end(name, state="cancelled", states=(*OPEN, "parked"), error="cancelled by a caller")
        if found is not None:
            self.drop(name)
            return found
        job = self.get(name)
        if job.state != "cancelled":
            msg = f"The job {name} is {job.state} already, so it cannot be cancelled."
            raise Conflict(msg)
        return job

    def input(self, job: Job) -> bytes:
        """Return the body of a job's request."""
        return self._kept(job.input)

    def result(self, name: str) -> bytes:
        """Return what a job came to.

        Raises:
            NotFound: there is no such job.
            Conflict: it is not done.
        """
        job = self.get(name)
        if job.state != "done":
            why = f": {job.error}" if job.error else "; ask again later" if not job.has_ended else ""
            msg = f"The job {name} is {job.state}, so it has no result{why}."
            raise Conflict(msg)
        return self._kept(job.result)

    def part(self, digest: str) -> bytes:
        """Return one file of a result that has several."""
        return self._kept(digest)

    def keep_part(self, name: str, data: bytes) -> str:
        """Store one file of a job's result, and return its digest; the job knows of it before it is there.

        Raises:
            NotFound: there is no such job.
            Conflict: the job has ended meanwhile.
        """
        digest, packed = self._packed(name, data)
        with self._ledger.write() as connection:
            job = stored.find(connection, name)
            if job is not None and not job.has_ended and digest not in job.parts:
                stored.store(connection, msgspec.structs.replace(job, parts=(*job.parts, digest)))
        if job is None or job.has_ended:
            msg = f"The job {name} is {self.get(name).state}, so nothing more is stored for it."
            raise Conflict(msg)
        return self._objects.put(packed)

    def is_alive(self, name: str) -> None:
        """Note that a worker is still doing a job: one that nobody says so of is given to another one."""
        with self._ledger.write() as connection:
            job = stored.find(connection, name)
            if job is not None and job.state == "running":
                stored.store(connection, msgspec.structs.replace(job, alive_at=self._clock.now()))

    def begin(self, name: str) -> Job | None:
        """Note that a worker begins a job, and return it; None: there is nothing to do any more."""
        with self._ledger.write() as connection:
            job = stored.find(connection, name)
            if job is None or job.has_ended:
                return None
            now = self._clock.now()
            begun = msgspec.structs.replace(
                job,
                state="running",
                started_at=now,
                alive_at=None,
                queued_at=job.queued_at or now,
                tries=job.tries + 1,
            )
            stored.store(connection, begun)
        return begun

    def finish(self, name: str, result: bytes, *, rows: int) -> bool:
        """Store a job's result; False: it has ended otherwise, or has one already, and this one is thrown away."""
        digest = self._keep(name, result)
        done = self.end(name, state="done", states=OPEN, result=digest, rows=rows)
        if done is None:
            with suppress(NotFound):
                if self.get(name).result == digest:
                    return False
            self._objects.delete(digest)
        return done is not None

    def fail(self, name: str, error: str) -> bool:
        """Note that a job cannot be done; False: it has ended otherwise."""
        return self.end(name, state="failed", states=OPEN, error=error) is not None

    def retry(self, name: str) -> Job:
        """Let a job that failed, was parked or was cancelled be done again.

        Raises:
            NotFound: there is no such job.
            Conflict: it is waiting, running or done.
        """
        with self._ledger.write() as connection:
            job = stored.find(connection, name)
            if job is not None and job.state in {"failed", "parked", "cancelled"}:
                job = msgspec.structs.replace(
                    job, state="waiting", queued_at=None, finished_at=None, error=""
                )
                # Its web hook is called when it ends again, and not before.
                stored.store(connection, job, due=None)
        if job is None or job.state != "waiting":
            msg = f"The job {name} is {self.get(name).state}. Only one that failed, was parked or was cancelled can be done again."
            raise Conflict(msg)
        if not self._queue.retry([name]):
            self._queue.put([(name, b"")])
        return self._queued(job)

    def _queued(self, job: Job) -> Job:
        queued = msgspec.structs.replace(job, queued_at=self._clock.now())
        with suppress(StoreUnavailable), self._ledger.write() as connection:
            now = stored.find(connection, job.id)
            if now is not None and now.queued_at is None:
                stored.store(connection, msgspec.structs.replace(now, queued_at=queued.queued_at))
        return queued

    def end(
        self,
        name: str,
        *,
        state: State,
        states: Sequence[str],
        error: str = "",
        result: str = "",
        rows: int | None = None,
    ) -> Job | None:
        """Put a job that is in one of some states into its last one; None: it is in another."""
        with self._ledger.write() as connection:
            job = stored.find(connection, name)
            if job is None or job.state not in states:
                return None
            ended = msgspec.structs.replace(
                job,
                state=state,
                finished_at=self._clock.now(),
                error=error,
                result=result,
                rows=job.rows if rows is None else rows,
                hook=None if job.hook is None else Hook(url=job.hook.url),
            )
            stored.store(connection, ended, due=self._clock.now() if ended.hook else None)
        if state != "done":
            self._forget_parts(ended)
        return ended

    def _forget_parts(self, job: Job) -> None:
        """Remove what was stored for a result that does not come; where that fails, it goes with the job."""
        with suppress(StoreUnavailable):
            for digest in job.parts:
                self._objects.delete(digest)

    def _same(self, before: Job, job: Job) -> None:
        hooked = tuple(one.hook.url if one.hook else "" for one in (before, job))
        if (before.endpoint, before.input) != (job.endpoint, job.input) or hooked[0] != hooked[1]:
            if before.input != job.input:
                self._objects.delete(job.input)
            msg = (
                f"Another job has the id {job.id}: its rows, endpoint or web hook differ. Choose another id."
            )
            raise AlreadyExists(msg)

    def drop(self, name: str) -> None:
        """Take a job out of the parked ones of the queue, if it is there."""
        with suppress(StoreUnavailable):
            self._queue.drop([name])

    def _check_queue(self, name: str) -> None:
        """Fail at once while the queue is known to be gone, before anything is written; a job that is there needs none."""
        try:
            self._queue.check()
        except StoreUnavailable:
            if not name:
                raise
            with self._ledger.read() as connection:
                if stored.find(connection, name) is None:
                    raise

    def _keep(self, name: str, data: bytes) -> str:
        return self._objects.put(self._packed(name, data)[1])

    def _packed(self, name: str, data: bytes) -> tuple[str, bytes]:
        """Return the digest and the bytes of an object of a job."""
        packed = msgspec.msgpack.encode(_Kept(name, data))
        return digest_of_bytes(packed), packed

    def _kept(self, digest: str) -> bytes:
        return msgspec.msgpack.decode(self._objects.get(digest), type=_Kept).data


def _check_hook(url: str, allowed: Allowed) -> None:
    hooks.checked(url, what="hook")
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    resolve(parts.hostname, port, allowed, timeout=_FIND_HOST)
