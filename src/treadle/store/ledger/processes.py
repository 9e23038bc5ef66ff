"""Which process this is, so that another one on the same machine can tell whether it has died.

A process id alone is used again by the system; with the machine's boot id and the process's start time it is not.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process, on one machine, in one of its boots."""

    host: str
    #: The kernel's id of this boot; empty where the system has none (then a time-out decides).
    boot: str
    #: The namespace that `pid` belongs to: containers on one machine count apart.
    space: str
    pid: int
    #: Start time, in clock ticks after the boot.
    started: int


def this() -> Process:
    """Return this process."""
    pid = os.getpid()
    return Process(
        host=socket.gethostname(), boot=_boot(), space=_space(), pid=pid, started=_started(pid) or 0
    )


def is_dead(process: Process) -> bool:
    """Return whether a process certainly has ended; False where this machine cannot know."""
    boot = _boot()
    if not boot or process.boot != boot or process.space != _space():
        return False
    return _started(process.pid) != process.started


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """Return a live process's start time; None: there is no such process, or it only waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])
