"""Runs `treadle run seeks` again and again, each time in a fork that is killed after a while, until it comes to its end.

Arguments: the project's folder, then the seconds after which each fork is killed. It loads the libraries once and forks:
a fork of a process that has only imported is as fresh as a new interpreter, and seconds cheaper. It prints how many were killed.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from pathlib import Path

from treadle.app.cli.main import main as treadle_main

#: What a run imports on its way.
_USED = (
    "optuna",
    "polars",
    "sklearn.linear_model",
    "skl2onnx",
    "onnxruntime",
    "treadle.app.worker",
    "treadle.training.compute.inline",
    "treadle.training.tasks.classification",
)


def run(root: Path, seconds: float | None) -> bool:
    """Run the command in a fork; return whether it came to its end before it was killed."""
    child = os.fork()
    if child == 0:
        os.chdir(root)
        log = os.open(root / "said.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        try:
            treadle_main(["run", "seeks"])
        except SystemExit as left:
            os._exit(left.code if isinstance(left.code, int) else 0)
        os._exit(1)
    end = None if seconds is None else time.monotonic() + seconds
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if end is not None and time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.005)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code not in {0, -signal.SIGKILL}:
        raise RuntimeError((root / "said.txt").read_text())
    return code == 0


def main(root: Path, moments: list[float]) -> None:
    """Kill at each moment in turn, then run to the end."""
    for name in _USED:
        importlib.import_module(name)
    killed, ended = 0, False
    for moment in moments:
        ended = run(root, moment)
        if ended:
            break
        killed += 1
    if not ended:
        run(root, None)
    sys.stdout.write(str(killed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [float(text) for text in sys.argv[2:]])
