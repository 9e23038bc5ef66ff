"""The Ray task that runs a job's command on some node, and hands its output back piece by piece."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from treadle.training.compute.process import GRACE_OF_NOTICE, started
from treadle.training.jobs import Job
from treadle.training.resources import Resources

#: Seconds after which output is handed on, and the most bytes of it at once.
_PAUSE, _MOST = 0.5, 1 << 16


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A job, as it is sent to a node."""

    command: list[str]
    #: The interpreter of whoever ordered it; on the node its own takes its place.
    python: str
    cwd: str
    environment: dict[str, str]
    cpu: float
    memory: str
    #: Files to bring back.
    leaves: list[str]


def run(order: Order) -> Iterator[bytes | dict[str, Any]]:
    """Run a command to its end; yield what it prints, and at last how it ended and the files that it left."""
    folder = Path(order.cwd)
    if not folder.is_dir():
        said = f"The node has no folder {order.cwd}. Put the project there, on a shared disk or in the node's image.\n"
        yield said.encode()
        yield {"status": 1, "files": {}}
        return
    command = [sys.executable if word == order.python else word for word in order.command]
    job = Job(
        command=command,
        call=lambda: None,
        cwd=folder,
        environment=order.environment,
        resources=Resources(cpu=order.cpu, memory=order.memory),
    )
    reading, writing = os.pipe()
    process = started(job, writing)
    os.close(writing)
    try:
        yield from _output(reading)
        status = process.wait()
    except KeyboardInterrupt:
        # So Ray cancels a task: the job has a moment to save its state.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(Exception):
            process.wait(GRACE_OF_NOTICE)
        raise
    finally:
        os.close(reading)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    yield {"status": status, "files": {name: _content(name) for name in order.leaves if Path(name).is_file()}}


def _output(pipe: int) -> Iterator[bytes]:
    while True:
        if not select.select([pipe], [], [], _PAUSE)[0]:
            continue
        piece = os.read(pipe, _MOST)
        if not piece:
            return
        yield piece


def _content(name: str) -> bytes:
    return Path(name).read_bytes()
