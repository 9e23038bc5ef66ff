"""The process that speaks with Ray for an engine, so that whatever becomes of the cluster, only this process ends with it.

Run as `python -m treadle.training.compute._ray_gateway ADDRESS`. It reads one JSON line for each job, or for each that is
to be stopped, and writes one for each piece of output and each end.
"""

from __future__ import annotations

import base64
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from treadle.core.optional import require
from treadle.training.compute import _ray_task

#: Seconds between looks at whether the head still answers, and how many in a row have to fail.
_PERIOD, _MISSES = 2.0, 5


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A job to run, or (without an order) one to stop: by force, or with a moment to save its state."""

    id: str
    order: _ray_task.Order | None = None
    #: What the task needs of its node: arguments of `ray.remote`.
    needs: dict[str, Any] = {}
    force: bool = False


class Gateway:
    """Runs jobs on the cluster that it is connected to."""

    def __init__(self, address: str, channel: int) -> None:
        self._channel = channel
        self._ray = require("ray", extra="ray")
        self._lock = threading.Lock()
        self._tasks: dict[str, Any] = {}
        # Without an address Ray would take any cluster that it finds a trace of, also one that is no more.
        options = {"address": address} if address else {"address": "local", "include_dashboard": False}
        context = self._ray.init(
            **options, log_to_driver=False, logging_level="ERROR", configure_logging=False
        )
        self._head = (
            address.removeprefix("ray://") if "://" in address else context.address_info["gcs_address"]
        )

    def serve(self) -> None:
        """Take requests until the engine's process ends."""
        threading.Thread(target=self._watch, daemon=True).start()
        self.say({"ready": self._head})
        for line in sys.stdin:
            request = msgspec.json.decode(line, type=Request)
            if request.order is not None:
                threading.Thread(target=self._run, args=[request], daemon=True).start()
            elif request.id in self._tasks:
                self._ray.cancel(self._tasks[request.id], force=request.force)

    def close(self) -> None:
        """Leave the cluster; what still runs for this process ends with that."""
        self._ray.shutdown()

    def say(self, message: dict[str, Any]) -> None:
        """Write a line."""
        with self._lock, os.fdopen(os.dup(self._channel), "wb") as file:
            file.write(msgspec.json.encode(message) + b"\n")

    def _run(self, request: Request) -> None:
        try:
            task = self._ray.remote(num_returns="streaming", max_retries=0, **request.needs)(_ray_task.run)
            self._tasks[request.id] = stream = task.remote(request.order)
            for reference in stream:
                self._told(request.id, self._ray.get(reference))
        except Exception as error:  # noqa: BLE001 - whatever happens to it is told to the one who waits
            name = type(error).__name__
            kind = "memory" if name == "OutOfMemoryError" else "lost"
            if not isinstance(error, self._ray.exceptions.RayError):
                kind = "error"
            said = str(error).strip().split("\n")[0]
            self.say({"id": request.id, "kind": kind, "said": f"{name}: {said}"})
        finally:
            self._tasks.pop(request.id, None)

    def _told(self, job: str, piece: bytes | dict[str, Any]) -> None:
        if isinstance(piece, bytes):
            self.say({"id": job, "output": base64.b64encode(piece).decode()})
            return
        files = {name: base64.b64encode(data).decode() for name, data in piece["files"].items()}
        self.say({"id": job, "kind": "ended", "status": piece["status"], "files": files})

    def _watch(self) -> None:
        """End when the head no longer answers; Ray itself would wait for it for minutes."""
        host, _, port = self._head.rpartition(":")
        missed, pause = 0, threading.Event()
        while missed < _MISSES:
            pause.wait(_PERIOD)
            try:
                socket.create_connection((host, int(port)), timeout=_PERIOD).close()
                missed = 0
            except OSError:
                missed += 1
        self.say({"gone": f"Ray's head at {self._head} has not answered for {_PERIOD * _MISSES:g} s."})
        os._exit(1)


def main(address: str = "") -> int:
    """Connect and serve."""
    if address and not address.startswith(("auto", "local")):
        host, _, port = address.removeprefix("ray://").rpartition(":")
        try:
            socket.create_connection((host or "127.0.0.1", int(port)), timeout=10).close()
        except (OSError, ValueError) as error:
            sys.stderr.write(f"{address} does not answer: {error}\n")
            return 1
    # Whatever a library prints must not come between the lines.
    channel = os.dup(1)
    os.dup2(2, 1)
    os.chdir(Path("/"))
    gateway = Gateway(address, channel)
    gateway.serve()
    gateway.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
