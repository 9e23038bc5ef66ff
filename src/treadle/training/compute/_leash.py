"""Holds a job's process group so that all of it ends when the process that asked for it ends.

Run as a script, by path, with nothing but the standard library: `_leash.py PARENT BYTES COMMAND...`. It leads the group,
starts the command, and ends as the command ended. The kernel sends it SIGHUP when the parent dies.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, memory: int, command: list[str]) -> int:
    """Run the command with a limit on its data in bytes (0: none); return its status, or die of the signal that it died of."""
    libc = ctypes.CDLL(None, use_errno=True)
    signal.signal(signal.SIGHUP, lambda *_: os.killpg(0, signal.SIGKILL))
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != parent:
        return 1  # it died before the line above
    me = os.getpid()
    child = os.fork()
    if child == 0:
        if memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        return _become(command, me, libc)
    for polite in (signal.SIGTERM, signal.SIGINT):
        signal.signal(polite, signal.SIG_IGN)  # they are for the command, which decides when it ends
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        _die_of(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def _become(command: list[str], leash: int, libc: ctypes.CDLL) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != leash:
        return 1
    try:
        os.execvp(command[0], command)  # noqa: S606 - a command without a shell is what is wanted
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        sys.stderr.flush()
    os._exit(127)


def _die_of(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
