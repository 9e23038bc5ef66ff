"""Runs jobs as Ray tasks: on the nodes of a cluster, or on a Ray of its own on this machine."""

from __future__ import annotations

import base64
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from treadle.core.clock import monotonic, span_text
from treadle.core.errors import RunCrashed, RunFailed, RunPreempted
from treadle.core.ids import new_id
from treadle.core.settings import child_environment
from treadle.training.compute._ray_gateway import Request
from treadle.training.compute._ray_task import Order
from treadle.training.compute.process import failure, last_line, timed_out
from treadle.training.jobs import Job

#: Seconds within which Ray has to answer, or to have started.
PATIENCE = 50.0
#: Variables that go along to the nodes.
_PREFIXES = ("TREADLE_", "AWS_", "MLFLOW_", "PYTHON")


class Engine:
    """Runs each job's command in a Ray task, on a node that has what it needs.

    The project's folder has to be there on each node, at the same path, and the stores have to be reachable from it. A Ray process
    of this engine's own speaks with the cluster, so this process outlives whatever becomes of that.
    """

    parallel = True

    def __init__(self, address: str = "") -> None:
        """Use the cluster at an address (`ray://host:port`, `host:port`, `auto`); empty: a Ray on this machine."""
        self._address = address
        self._lock = threading.Lock()
        self._gateway: _Gateway | None = None
        #: The run of each job that runs now.
        self._runs: dict[str, str] = {}

    def close(self) -> None:
        """Leave the cluster; the Ray of this machine ends."""
        if self._gateway is not None:
            self._gateway.close()
            self._gateway = None

    def stop(self, run: str = "") -> None:
        """Tell all jobs that run now to end, or those of one run; see the protocol."""
        if self._gateway is not None:
            for job in tuple(self._gateway.waiting):
                if run in {"", self._runs.get(job)}:
                    self._gateway.send(Request(id=job))

    def run(self, job: Job, *, log: Path, timeout: float | None) -> None:
        """Run a job's command to its end on some node; stdout and stderr are appended to the file `log`.

        Raises:
            RunTimeout: it took longer than `timeout` seconds and was stopped.
            RunPreempted: its node went away.
            RunCrashed: it was ended by a signal, or ran out of memory.
            RunFailed: it ended with another status than 0, or Ray does not answer.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        gateway = self._connected()
        name = new_id("job")
        self._runs[name] = job.run
        told = gateway.begin(Request(id=name, order=_order(job), needs=_needs(job)))
        end = None if timeout is None else monotonic() + timeout
        try:
            with log.open("ab") as output:
                last = _follow(told, output, end)
        except queue.Empty:
            gateway.send(Request(id=name, force=True))
            raise timed_out(timeout or 0.0) from None
        except KeyboardInterrupt:
            gateway.send(Request(id=name))
            raise
        finally:
            gateway.waiting.pop(name, None)
            self._runs.pop(name, None)
        _finish(last, log)

    def _connected(self) -> _Gateway:
        with self._lock:
            if self._gateway is None or not self._gateway.lives:
                self._gateway = _Gateway(self._address)
            return self._gateway


class _Gateway:
    """The process that speaks with Ray. It ends by itself when this one does, as its input ends."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "treadle.training.compute._ray_gateway", address],
            env=child_environment({"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self.waiting: dict[str, queue.SimpleQueue[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._first: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._gone = ""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            first = self._first.get(timeout=PATIENCE)
        except queue.Empty:
            self.close()
            msg = f"{self._shown} did not answer within {span_text(PATIENCE)}."
            raise RunFailed(msg) from None
        if "ready" not in first:
            cause = self._gone
            self.close()
            msg = f"{self._shown} cannot be used: {cause}"
            raise RunFailed(msg)

    @property
    def lives(self) -> bool:
        """Whether jobs can be sent."""
        return not self._gone and self._process.poll() is None

    @property
    def _shown(self) -> str:
        return f"Ray at {self._address}" if self._address else "A Ray on this machine"

    def begin(self, request: Request) -> queue.SimpleQueue[dict[str, Any]]:
        """Send a job, and return where what becomes of it will come in."""
        told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.waiting[request.id] = told
        self.send(request)
        return told

    def send(self, request: Request) -> None:
        """Send a request; where the process has ended, the one who waits is told so."""
        with self._lock:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(msgspec.json.encode(request) + b"\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                self._tell_all()

    def close(self) -> None:
        """End the process and everything that it runs."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._listener.join(10)
        self._process.stdout.close()
        self._errors.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = msgspec.json.decode(line)
            if "gone" in message:
                self._gone = message["gone"]
            elif "ready" in message:
                self._first.put(message)
            elif message["id"] in self.waiting:
                self.waiting[message["id"]].put(message)
        self._gone = self._gone or self._last_words()
        self._first.put({})
        self._tell_all()

    def _tell_all(self) -> None:
        for told in tuple(self.waiting.values()):
            told.put({"kind": "gone", "said": self._gone or "its process has ended."})

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word.")


def _order(job: Job) -> Order:
    along = {name: value for name, value in child_environment({}).items() if name.startswith(_PREFIXES)}
    return Order(
        command=list(job.command),
        python=sys.executable,
        cwd=str(job.cwd or Path.cwd()),
        environment={**along, **job.environment},
        cpu=job.resources.cpu,
        memory=job.resources.memory,
        leaves=[str(path) for path in job.leaves],
    )


def _needs(job: Job) -> dict[str, Any]:
    needs: dict[str, Any] = {"num_cpus": job.resources.cpu, "num_gpus": job.resources.gpu}
    if job.resources.bytes is not None:
        needs["memory"] = job.resources.bytes
    if job.resources.labels:
        needs["resources"] = dict(job.resources.labels)
    return needs


def _follow(told: queue.SimpleQueue[dict[str, Any]], output: IO[bytes], end: float | None) -> dict[str, Any]:
    """Write a job's output down until its end comes in, and return that.

    Raises:
        queue.Empty: it has not come by the moment `end`.
    """
    while True:
        message = told.get(timeout=None if end is None else max(end - monotonic(), 0.001))
        if "output" not in message:
            return message
        output.write(base64.b64decode(message["output"]))
        output.flush()


def _finish(last: dict[str, Any], log: Path) -> None:
    kind = last["kind"]
    if kind == "ended":
        for name, data in last["files"].items():
            _bring(Path(name), base64.b64decode(data))
        if last["status"]:
            raise failure(last["status"], last_line(log))
        return
    said = last["said"]
    if kind == "lost":
        raise RunPreempted(f"The training's node went away. {said}")
    if kind == "memory":
        raise RunCrashed(f"The training's node ran out of memory. {said}")
    raise RunFailed(f"The training was not run to its end by Ray: {said}")


def _bring(path: Path, data: bytes) -> None:
    """Write a file that the job left on its node; on this machine, or on a shared disk, it is there already."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
