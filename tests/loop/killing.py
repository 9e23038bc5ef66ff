"""Runs `treadle` again and again, each time in a fork that may be killed after a while.

A program of its own. It loads the libraries once and forks: a fork of a process that has only imported is as fresh as a
new interpreter, and seconds cheaper. It reads orders from its input, one JSON object a line, and answers each with one.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from treadle.app.cli.main import main as treadle_main
from treadle.core.settings import as_environment

#: What a run imports on its way.
_USED = (
    "optuna",
    "polars",
    "sklearn.linear_model",
    "sklearn.tree",
    "skl2onnx",
    "onnxruntime",
    "treadle.app.worker",
    "treadle.training.compute.inline",
    "treadle.training.compute.process",
    "treadle.training.tasks.classification",
)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How one command ended."""

    #: Whether it was killed before it came to its end.
    killed: bool
    #: What it wrote, and the seconds that it took.
    said: str
    seconds: float


class Killer:
    """The program, started; commands are run one after the other."""

    def __init__(self, root: Path, *, environment: Mapping[str, str] | None = None) -> None:
        self._root = root
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(root)],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, *command: str, settings: Mapping[str, str], kill_after: float | None = None) -> Ended:
        """Run `treadle` with these arguments, and kill it after so many seconds; a command that fails is an error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"command": command, "environment": as_environment(settings), "kill_after": kill_after}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        assert found.pop("status") in {0, -signal.SIGKILL}, found["said"]
        return Ended(**found)


def main(root: Path) -> None:
    """Follow orders until there are none."""
    for name in _USED:
        importlib.import_module(name)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_followed(json.loads(line), root)) + "\n")
        sys.stdout.flush()


def _followed(order: dict[str, Any], root: Path) -> dict[str, Any]:
    log = root / "said.txt"
    log.unlink(missing_ok=True)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(order, root, log)
    killed, end = False, None if order["kill_after"] is None else began + order["kill_after"]
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if end is not None and time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            killed = True
            break
        time.sleep(0.005)
    _, status = os.waitpid(child, 0)
    seconds, said = time.monotonic() - began, log.read_text() if log.exists() else ""
    code = os.waitstatus_to_exitcode(status)
    return {"killed": killed and code < 0, "said": said, "seconds": seconds, "status": code}


def _become(order: dict[str, Any], root: Path, log: Path) -> None:
    os.environ.update(order["environment"])
    os.chdir(root)
    handle = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    status = 70
    try:
        treadle_main(order["command"])
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
