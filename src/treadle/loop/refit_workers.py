"""Processes that train for a replay: as many as there are cores and memory for, and none of them outlives it."""

from __future__ import annotations

import os
import queue
import resource
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import msgspec
import polars as pl

from treadle.core.errors import RunCrashed, RunFailed
from treadle.core.records import Record
from treadle.loop.history import Past
from treadle.loop.models import Model
from treadle.loop.refit_cache import RefitCache, packed, unpacked
from treadle.loop.refitting import Refitted, Wanted, refit
from treadle.training.compute import process
from treadle.training.jobs import Job

#: Variables by which numeric libraries are told how many threads to start: one, for there is a process for each core.
_ALONE = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)
#: How much more memory than the largest training took has to be free for another beside one that goes on.
_SPARE = 1.25
#: Seconds after which somebody who waits looks whether to go on.
_BREATH = 0.2
_MEMINFO = Path("/proc/meminfo")


class Answer(Record, frozen=True, kw_only=True):
    """What a worker says of a training, before the result itself."""

    #: Why it failed; empty: the result follows.
    failed: str = ""
    #: The most memory that the worker has taken so far, in bytes.
    peak: int = 0


@dataclass(frozen=True, kw_only=True)
class Trainers:
    """Where a replay trains, and where it keeps what came of it."""

    #: The command of a worker, to which the model's name and two open files are added; empty: trainings are made in this process.
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    root: Path
    #: How many workers at most; 0: as many as there are cores.
    most: int = 0
    cache: RefitCache


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


class Workers:
    """Trains in processes of its own, or, where there is no command for them, in this one."""

    def __init__(self, model: Model, past: Past, trainers: Trainers) -> None:
        self._model, self._past, self._trainers = model, past, trainers
        self._most = (trainers.most or cores()) if trainers.command else 1
        self._started: dict[str, Future[Refitted]] = {}
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._all: list[_Worker] = []
        self._room, self._busy, self._peak = threading.Condition(), 0, 0
        self._threads: ThreadPoolExecutor | None = None
        self._rows: int | None = None
        self._closed = False

    def __enter__(self) -> Workers:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers, whatever they do."""
        self._closed = True
        for worker in self._all:
            worker.end()
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._all:  # one that was started meanwhile
            worker.end()
        if self._rows is not None:
            os.close(self._rows)
        self._trainers.cache.prune()

    def start(self, wanted: Wanted) -> None:
        """Let a training begin as soon as there is a worker for it; in this process it waits until it is asked for."""
        if self._trainers.command and wanted.key not in self._started:
            if self._threads is None:
                self._rows = _unnamed(self._past.rows)
                self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="treadle-refit")
            self._started[wanted.key] = self._threads.submit(self._made, wanted)

    def result(self, wanted: Wanted) -> Refitted:
        """Return what a training left, once it is there.

        Raises:
            RunFailed: the training function failed, or its process died twice.
        """
        self.start(wanted)
        if wanted.key in self._started:
            going = self._started.pop(wanted.key)
            while not wait([going], timeout=_BREATH).done:
                pass  # awake now and then, for a signal that another thread was given
            return going.result()
        return refit(self._model, self._past, wanted, root=self._trainers.root)

    def _made(self, wanted: Wanted) -> Refitted:
        """Train in a worker; where its process dies, as for want of memory, once more with nobody beside it."""
        try:
            return self._in_worker(wanted, alone=False)
        except RunCrashed:
            if self._closed:
                raise
            return self._in_worker(wanted, alone=True)

    def _in_worker(self, wanted: Wanted, *, alone: bool) -> Refitted:
        with self._room:
            self._room.wait_for(lambda: not self._busy or (not alone and free() > self._peak * _SPARE))
            self._busy += 1
        try:
            worker = self._worker()
            said, found = worker.ask(wanted)
            self._peak = max(self._peak, said.peak)
            self._idle.put(worker)
        finally:
            with self._room:
                self._busy -= 1
                self._room.notify_all()
        if said.failed:
            raise RunFailed(said.failed)
        assert found is not None
        return found

    def _worker(self) -> _Worker:
        if self._closed:
            msg = "The replay has ended."
            raise RunCrashed(msg)
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            assert self._rows is not None
            worker = _Worker(self._trainers, self._model.name, self._rows)
            self._all.append(worker)
            return worker


class _Worker:
    """One process, and the connection to it."""

    def __init__(self, trainers: Trainers, model: str, rows: int) -> None:
        ours, theirs = socket.socketpair()
        job = Job(
            command=[*trainers.command, model, str(rows), str(theirs.fileno())],
            call=lambda: None,
            cwd=trainers.root,
            environment={**_ALONE, **trainers.environment},
        )
        with theirs:
            # What a training function prints is no result: it goes where errors go.
            self._process = process.started(job, 2, keep=(rows, theirs.fileno()))
        self._connection = Connection(ours.detach())

    def ask(self, wanted: Wanted) -> tuple[Answer, Refitted | None]:
        """Let it train.

        Raises:
            RunCrashed: the process died.
        """
        try:
            self._connection.send_bytes(msgspec.json.encode(wanted))
            said = msgspec.json.decode(self._connection.recv_bytes(), type=Answer)
            return said, None if said.failed else unpacked(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            self.end()
            status = self._process.returncode
            raise RunCrashed(
                f"A training of the replay ended with its process ({_told(status)}). Mostly that means that the machine ran out of "
                "memory: take a shorter window, or fewer workers (setting replay.workers)."
            ) from error

    def end(self) -> None:
        """End the process and all that it started."""
        with suppress(ProcessLookupError):
            if self._process.returncode is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def serve(model: Model, rows: int, connection: int, *, root: Path) -> None:
    """Train what is asked for over a connection until it is closed: what a worker does."""
    past = Past.of(model, pl.read_ipc(f"/proc/self/fd/{rows}"))
    with Connection(connection) as asking:
        while True:
            try:
                wanted = msgspec.json.decode(asking.recv_bytes(), type=Wanted)
            except EOFError:
                return
            try:
                found = packed(refit(model, past, wanted, root=root))
            except RunFailed as error:
                asking.send_bytes(msgspec.json.encode(Answer(failed=str(error), peak=_most())))
                continue
            asking.send_bytes(msgspec.json.encode(Answer(peak=_most())))
            asking.send_bytes(found)


def free() -> int:
    """Return the bytes of memory that are free for more, or could be made so."""
    for line in _MEMINFO.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return sys.maxsize


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _told(status: int | None) -> str:
    if status is None or status >= 0:
        return f"status {status}"
    return signal.Signals(-status).name


def _unnamed(rows: pl.DataFrame) -> int:
    """Write rows into a file without a name, which is gone with the last process that has it open; return it."""
    with tempfile.TemporaryFile(prefix="treadle-replay-") as file:
        rows.write_ipc(file, compression="uncompressed")
        file.flush()
        return os.dup(file.fileno())
