"""The record of every execution of a model's pipeline: started, gone on with after a kill, ended, sealed."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from treadle.core.clock import Clock
from treadle.core.errors import Conflict, InvalidInput, NotFound
from treadle.core.ids import new_id
from treadle.core.origin import Origin
from treadle.core.paging import USUAL, Paged
from treadle.core.records import Code, Run, RunStatus, Window, from_json, to_json
from treadle.store.ledger import paging
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training import finding, history
from treadle.training.checkpoints import Checkpoints, State, finished_trials, must_be_current
from treadle.training.written import FOLDER as FOLDER
from treadle.training.written import LOG as LOG
from treadle.training.written import METRICS as METRICS
from treadle.training.written import Written, read

Ended = Literal["succeeded", "rejected", "failed"]


class Runs(Written):
    """Runs of all models.

    A run under way has a folder with its log and its metrics. When it has ended, both become objects (it is
    *sealed*) and the folder goes. Whoever changes a run holds the model's lease.

    >>> run = runs.start("delay", reason="by hand")                        # doctest: +SKIP
    >>> runs.seal(runs.finish(run, status="succeeded")).status             # doctest: +SKIP
    'succeeded'
    """

    def __init__(self, *, ledger: Ledger, objects: Objects, clock: Clock, root: Path) -> None:
        super().__init__(ledger=ledger, objects=objects, root=root)
        self.clock = clock
        self._checkpoints = Checkpoints(ledger, objects, clock)

    def start(
        self,
        model: str,
        *,
        reason: str,
        data: Mapping[str, int] | None = None,
        window: Window | None = None,
        forward: Window | None = None,
        seed: int = 0,
        params: Mapping[str, Any] | None = None,
        turn: str = "",
        code: Code | None = None,
        environment: str = "",
        origin: Origin | None = None,
        parents: tuple[str, ...] = (),
        also: Callable[[Connection], None] | None = None,
        connection: Connection | None = None,
    ) -> Run:
        """Record that a run has begun, and seal those that ended without it.

        `also` writes what is to become true together with it, in the same transaction: the caller's, where one is given.
        """
        run = Run(
            id="",
            model=model,
            status="running",
            started_at=self.clock.now(),
            reason=reason,
            data=dict(data or {}),
            window=window,
            forward=forward,
            seed=seed,
            params=dict(params or {}),
            turn=turn,
            code=code,
            environment=environment,
            origin=origin,
            parents=parents,
        )
        if connection is not None:
            return _begin(connection, run, also)
        self.seal_leftovers()
        with self._ledger.write() as own:
            return _begin(own, run, also)

    def running(self, model: str) -> Run | None:
        """Return the run of a model that has not ended; ask while holding the model's lease.

        Then nobody works on it: it was interrupted, and `resume` goes on with it.
        """
        return next(iter(self.list(model=model, status="running", limit=1)), None)

    def resume(self, run: Run) -> Run:
        """Go on with an interrupted run: the same id, one more attempt. Earlier attempts can write no more.

        Raises:
            LeaseLost: it has ended, or somebody else goes on with it already.
        """
        with self._ledger.write() as connection:
            stored = must_be_current(connection, run)
            return _store(connection, msgspec.structs.replace(stored, attempts=stored.attempts + 1))

    def finish(
        self,
        run: Run,
        *,
        status: Ended,
        model_version: int | None = None,
        trial: int | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        error: str = "",
        traceback: str = "",
        given_up: bool = False,
        connection: Connection | None = None,
    ) -> Run:
        """Record how a run ended, inside the caller's write transaction where one is given; `seal` it afterwards.

        `metrics` defaults to the last values that the training function logged; what is not finite is left out. `trial` and
        `params` are those of the best trial of a search.
        Ending a run again in the same way changes nothing.

        Raises:
            Conflict: it has ended in another way, or somebody else goes on with it.
        """
        found = history.last_values(self._points(run)) if metrics is None else metrics
        changes = {
            "status": status,
            "finished_at": self.clock.now(),
            "model_version": model_version,
            "trial": trial,
            **({} if params is None else {"params": dict(params)}),
            "metrics": {name: float(value) for name, value in found.items() if math.isfinite(value)},
            "error": error,
            "traceback": traceback,
            "given_up": given_up,
        }
        if connection is not None:
            return _end(connection, run, changes)
        with self._ledger.write() as own:
            return _end(own, run, changes)

    def fail(self, run: Run, *, error: str, traceback: str = "", given_up: bool = False) -> Run:
        """Record that a run failed, and seal it; `given_up`: it was interrupted, and is not gone on with."""
        ended = self.finish(run, status="failed", error=error, traceback=traceback, given_up=given_up)
        return self.seal(ended)

    def cancel(self, run: str, *, actor: str, reason: str) -> Run:
        """End a run under way as failed, and note who wanted that: whoever trains it sees it, stops and seals it.

        Raises:
            NotFound: there is none with that id.
            Conflict: it has ended already.
            InvalidInput: there is no reason.
        """
        why = " ".join(reason.split())
        if not why:
            msg = "Whoever cancels a run says why: the reason is empty."
            raise InvalidInput(msg, field="reason")
        found = self.get(run)
        if found.status != "running":
            msg = f"Run {run} has ended as {found.status} already: there is nothing to cancel."
            raise Conflict(msg)
        return self.finish(found, status="failed", error=f"Cancelled by {actor}: {why}", given_up=True)

    def seal(self, run: Run) -> Run:
        """Turn the log and the metrics of an ended run into objects, and delete its checkpoints and its folder.

        Doing it again changes nothing; when it was interrupted, `seal_leftovers` on this machine does it.

        Raises:
            InvalidInput: the run has not ended.
        """
        stored = self.get(run.id)
        if stored.status == "running":
            msg = f"Run {run.id} is running. Expected one that has ended: finish it first."
            raise InvalidInput(msg)
        folder = self._folders / run.id
        if folder.is_dir():
            digests = self._sealed(folder)
            if any(getattr(stored, name) != digest for name, digest in digests.items()):
                with self._ledger.write() as connection:
                    stored = _store(connection, msgspec.structs.replace(read(connection, run.id), **digests))
        self._checkpoints.drop(run.id)
        # Last: as long as there is a folder, what a kill left undone is found.
        shutil.rmtree(folder, ignore_errors=True)
        return stored

    def seal_leftovers(self) -> None:
        """Seal the runs that ended on this machine and were not sealed, as their process was killed before."""
        if not self._folders.is_dir():
            return
        for folder in self._folders.iterdir():
            try:
                found = self.get(folder.name)
            except NotFound:
                continue
            if found.status != "running":
                self.seal(found)

    def list(
        self, *, model: str | None = None, status: RunStatus | None = None, limit: int = 100
    ) -> list[Run]:
        """Return the runs, newest first: of one model, of one status, or all."""
        wanted = select(t.runs.c.body).order_by(t.runs.c.id.desc()).limit(limit)
        if model is not None:
            wanted = wanted.where(t.runs.c.model == model)
        if status is not None:
            wanted = wanted.where(t.runs.c.status == status)
        with self._ledger.read() as connection:
            return [from_json(body, Run) for body in connection.execute(wanted).scalars()]

    def find(
        self,
        *,
        where: Sequence[str] = (),
        sort: str = "",
        descending: bool = False,
        model: str | None = None,
        limit: int = 100,
    ) -> Sequence[Run]:
        """Return ended runs that meet all conditions, sorted by a metric or parameter (else the newest first).

        >>> runs.find(where=["params.depth=5"], sort="metrics.test.candidate.log_loss", limit=10)   # doctest: +SKIP

        Raises:
            InvalidInput: a condition or the name to sort by is not understood.
        """
        wanted = finding.query(where=where, sort=sort, descending=descending, model=model, limit=limit)
        with self._ledger.read() as connection:
            return [from_json(body, Run) for body in connection.execute(wanted).scalars()]

    def page(
        self,
        *,
        model: str = "",
        status: RunStatus | None = None,
        where: Sequence[str] = (),
        sort: str = "",
        descending: bool = False,
        after: str = "",
        limit: int = USUAL,
    ) -> Paged[Run]:
        """Return one part of the runs, the newest first, or ended ones sorted by a metric or parameter; see `find`.

        Raises:
            InvalidInput: a condition, the name to sort by or the key of the part is not understood.
        """
        with self._ledger.read() as connection:
            common = finding.common(connection, where, model=model if sort else "")
            wanted, by = finding.chosen(where=where, sort=sort, model=model, status=status, common=common)
            return paging.part(
                connection,
                wanted,
                Run,
                by=by,
                after=after,
                limit=limit,
                descending=descending if sort else True,
            )

    def save_checkpoint(self, run: Run, state: State) -> int:
        """Save a training state to go on from; return its number.

        Raises:
            LeaseLost: the run has ended, or somebody else goes on with it.
        """
        return self._checkpoints.save(
            run.id, state, check=lambda connection: must_be_current(connection, run)
        )

    def checkpoint(self, run: str) -> State | None:
        """Return the training state that was saved last, or None."""
        return self._checkpoints.latest(run)

    def progress(self, run: Run) -> int:
        """Return a number that grows whenever an interrupted run has come further: checkpoints saved, trials finished."""
        return self._checkpoints.count(run.id) + finished_trials(self._ledger, run.id)

    def _sealed(self, folder: Path) -> dict[str, str]:
        digests = {}
        for name, file in (("log", LOG), ("history", METRICS)):
            with suppress(FileNotFoundError):  # nothing was written, or another process seals it as well
                digests[name] = self._objects.put_file(folder / file)
        return digests


def _begin(connection: Connection, run: Run, also: Callable[[Connection], None] | None) -> Run:
    begun = _insert(connection, run)
    if also is not None:
        also(connection)
    return begun


def _insert(connection: Connection, run: Run) -> Run:
    # The newest run must stay the newest whatever the clock does: what is due is decided by it.
    newest = connection.execute(select(func.max(t.runs.c.id))).scalar() or ""
    begun = msgspec.structs.replace(run, id=new_id("run", after=newest))
    row = {"id": begun.id, "model": begun.model, "status": begun.status, "body": to_json(begun)}
    connection.execute(insert(t.runs).values(**row, started_at=t.micros(begun.started_at)))
    return begun


def _end(connection: Connection, run: Run, changes: dict[str, Any]) -> Run:
    stored = read(connection, run.id)
    if stored.status == changes["status"] and stored.attempts == run.attempts:
        return stored
    if stored.status not in {"running", changes["status"]}:
        msg = f"Run {run.id} has ended as {stored.status} already; it cannot become {changes['status']}."
        raise Conflict(msg)
    ended = _store(connection, msgspec.structs.replace(must_be_current(connection, run), **changes))
    t.put_all(connection, t.run_values, finding.values_of(ended))
    return ended


def _store(connection: Connection, run: Run) -> Run:
    connection.execute(
        update(t.runs)
        .where(t.runs.c.id == run.id)
        .values(
            status=run.status,
            finished_at=None if run.finished_at is None else t.micros(run.finished_at),
            body=to_json(run),
        )
    )
    return run
