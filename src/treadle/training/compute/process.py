"""Runs a job in a process group of its own, which can be timed out and stopped as a whole."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from treadle.core.clock import span_text
from treadle.core.errors import RunCrashed, RunFailed, RunTimeout
from treadle.core.settings import child_environment
from treadle.training.compute import _leash
from treadle.training.jobs import Job

#: Seconds between asking a job to end (SIGTERM) and ending it (SIGKILL).
GRACE = 3.0


class Engine:
    """Starts the job's command beside this process.

    Everything that the job starts is in its process group and ends with it: after its end, at the time-out, when
    this process is interrupted, and when this process dies, however it dies.
    """

    def run(self, job: Job, *, log: Path, timeout: float | None) -> None:
        """Run a job's command to its end; stdout and stderr are appended to the file `log`.

        Raises:
            RunTimeout: it took longer than `timeout` seconds and was stopped.
            RunCrashed: it was ended by a signal; the message names it.
            RunFailed: it ended with another status than 0.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - the job is the user's own
                [sys.executable, "-I", "-S", _leash.__file__, str(os.getpid()), *job.command],
                cwd=job.cwd,
                env=child_environment({"PYTHONUNBUFFERED": "1", **job.environment}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            ended = _wait(process, timeout)
            if not ended:
                _signal_group(process, signal.SIGTERM)
                _wait(process, GRACE)
        finally:
            # The group's number stays taken until its leader is waited for, so nobody else can be hit.
            _signal_group(process, signal.SIGKILL)
            status = process.wait()
        if not ended:
            raise _timed_out(timeout or 0.0)
        if status:
            raise _failed(status, log)


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


def _timed_out(timeout: float) -> RunTimeout:
    return RunTimeout(
        f"The training function was stopped after {span_text(timeout)}, its time limit. If it needs longer, raise the "
        "limit: timeout= in @td.model, or compute.timeout in treadle.toml."
    )


def _failed(status: int, log: Path) -> RunFailed:
    last = _last_line(log)
    said = f" The last line of its log: {last}" if last else " Its log is empty."
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


def _last_line(log: Path, *, most: int = 4096) -> str:
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - most, 0))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
