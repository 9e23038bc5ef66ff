"""Runs `treadle mirror` again and again, each time in a fork that is killed after a while, until it comes to its end.

Arguments: the project's folder, then the seconds after which each fork is killed; with `both`, two forks run at once and
none is killed. It prints how many were killed. Libraries are loaded once: see `search_forks`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from pathlib import Path

from treadle.app.cli.main import main as treadle_main

_USED = (
    "polars",
    "onnxruntime",
    "treadle.app.card.gathering",
    "treadle.app.card.page",
    "treadle.loop.mirroring",
)


def start(root: Path) -> int:
    """Run the command in a fork, and return its process id."""
    child = os.fork()
    if child:
        return child
    log = os.open(root / "said.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        treadle_main(["mirror", "--project", str(root)])
    except SystemExit as left:
        os._exit(left.code if isinstance(left.code, int) else 0)
    os._exit(1)


def end(root: Path, child: int, seconds: float | None) -> bool:
    """Wait for a fork, and kill it after so many seconds; return whether it came to its end."""
    last = None if seconds is None else time.monotonic() + seconds
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if last is not None and time.monotonic() > last:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.002)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in {0, -signal.SIGKILL}:
        raise RuntimeError((root / "said.txt").read_text())
    return code == 0


def main(root: Path, moments: list[str]) -> None:
    """Kill at each moment in turn, then run to the end."""
    for name in _USED:
        importlib.import_module(name)
    if moments == ["both"]:
        children = [start(root), start(root)]
        killed = sum(not end(root, child, None) for child in children)
    else:
        killed = sum(not end(root, start(root), float(moment)) for moment in moments)
    end(root, start(root), None)
    sys.stdout.write(str(killed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
