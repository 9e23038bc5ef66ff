"""Runs a job in a process group of its own, which can be timed out and stopped as a whole."""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from treadle.core.clock import span_text
from treadle.core.errors import (
    InvalidDeclaration,
    RunCrashed,
    RunFailed,
    RunPreempted,
    RunTimeout,
    SettingsError,
)
from treadle.core.settings import child_environment
from treadle.training import notice
from treadle.training.compute import _leash
from treadle.training.jobs import Job
from treadle.training.resources import Resources

#: Variables by which numeric libraries are told how many threads to start.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")

#: Seconds between asking a job to end (SIGTERM) and ending it (SIGKILL): at its time limit, and when this process has to end.
GRACE, GRACE_OF_NOTICE = 3.0, 25.0


class Engine:
    """Starts the job's command beside this process.

    Of the job's resources, memory is a limit on its data (beyond it Python raises `MemoryError`), and processors are a hint
    to numeric libraries how many threads to start.

    Everything that the job starts is in its process group and ends with it: after its end, at the time-out, when
    this process is interrupted, and when this process dies, however it dies.
    """

    parallel = True

    def __init__(self, address: str = "") -> None:
        """Take no address: the processes are on this machine."""
        refuse(address)
        self._running: dict[subprocess.Popen[bytes], str] = {}

    def close(self) -> None:
        """Do nothing: each job ends with the call that runs it."""

    def stop(self, run: str = "") -> None:
        """Tell all jobs that run now to end, or those of one run; see the protocol."""
        for process, of in tuple(self._running.items()):
            if run in {"", of}:
                _signal_group(process, signal.SIGTERM)

    def run(self, job: Job, *, log: Path, timeout: float | None) -> None:
        """Run a job's command to its end; stdout and stderr are appended to the file `log`.

        Raises:
            RunTimeout: it took longer than `timeout` seconds and was stopped.
            RunCrashed: it was ended by a signal; the message names it.
            RunFailed: it ended with another status than 0.
        """
        if job.resources.labels:
            wanted = ", ".join(job.resources.labels)
            msg = f"A process on this machine has no labels, and {wanted} is asked for. Set compute.engine to 'ray'."
            raise InvalidDeclaration(msg, field="resources")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = started(job, output)
        self._running[process] = job.run
        try:
            ended = _wait(process, timeout)
            if not ended:
                _signal_group(process, signal.SIGTERM)
                _wait(process, GRACE)
        except KeyboardInterrupt:
            _signal_group(process, signal.SIGTERM)
            _wait(process, GRACE_OF_NOTICE)
            raise
        finally:
            self._running.pop(process, None)
            # The group's number stays taken until its leader is waited for, so nobody else can be hit.
            _signal_group(process, signal.SIGKILL)
            status = process.wait()
        if not ended:
            raise timed_out(timeout or 0.0)
        if status:
            raise failure(status, last_line(log))


def refuse(address: str) -> None:
    """Refuse an address for an engine that has none.

    Raises:
        SettingsError: one is given.
    """
    if address:
        msg = f"compute.address = {address!r} is for engines on other machines. Set compute.engine to 'ray', or leave it out."
        raise SettingsError(msg)


def started(job: Job, output: IO[bytes] | int, *, keep: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start a job's command in a process group that ends with this thread; it prints to `output`, and has the files `keep` open."""
    threads = str(max(1, math.ceil(job.resources.cpu)))
    hints = dict.fromkeys(_THREADS, threads) if job.resources.cpu != Resources.cpu else {}
    limit = job.resources.bytes
    return subprocess.Popen(  # noqa: S603 - the job is the user's own
        [sys.executable, "-I", "-S", _leash.__file__, str(os.getpid()), str(limit or 0), *job.command],
        cwd=job.cwd,
        env=child_environment({"PYTHONUNBUFFERED": "1", **hints, **job.environment}),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=keep,
    )


def _wait(process: subprocess.Popen[bytes], timeout: float | None) -> bool:
    """Wait until a process has ended, without burying it; return whether it has."""
    handle = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(timeout, 0.0) * 1000))
    finally:
        os.close(handle)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def timed_out(timeout: float) -> RunTimeout:
    """Return the error for a job that took longer than it may."""
    return RunTimeout(
        f"The training function was stopped after {span_text(timeout)}, its time limit. If it needs longer, raise the "
        "limit: timeout= in @td.model, or compute.timeout in treadle.toml."
    )


def failure(status: int, last: str) -> RunFailed:
    """Return the error for a job that ended with a status that is not 0; `last` is the last line of its log."""
    said = f" The last line of its log: {last}" if last else " Its log is empty."
    if status == notice.STATUS:
        return RunPreempted(f"The training's machine announced its end.{said}")
    if status > 0:
        return RunFailed(f"The training process ended with status {status}.{said}")
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = ""
    if -status == signal.SIGKILL:
        hint = " Mostly that means that the machine ran out of memory: take a shorter window, or a bigger machine."
    elif -status in {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL}:
        hint = " That is a fault inside a native library: see whether it has a newer version."
    return RunCrashed(f"The training process was ended by {name}.{hint}{said}")


def last_line(log: Path, *, most: int = 4096) -> str:
    """Return the last line of a log in which something stands."""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - most, 0))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
