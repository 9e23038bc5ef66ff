"""A real MLflow server in its own environment (`make mlflow`), shared by the workers of a test run.

To start one takes MLflow ten seconds and more, so the first test that needs it starts it; it ends with the test run. A test
that stops it waits until no other uses it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services import free_ports, missing
from treadle.registry.mirrors.mlflow import Mirror
from treadle.testing.mirrors import SECRET, Shown

ENVIRONMENT = Path(__file__).parents[1] / ".venv-mlflow"
PATIENCE = 120.0
_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
_STATUS = {"RUNNING": "running", "FINISHED": "finished", "FAILED": "failed", "KILLED": "killed"}


@dataclass(frozen=True)
class MlflowServer:
    """A server whose state is in a folder, so that it can be stopped and started again at the same address."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, ends_with: int) -> None:
        """Start it, and wait until it answers; it ends with the process of that id."""
        store, artefacts = self.folder / "mlflow.db", self.folder / "artefacts"
        if not store.exists():
            shutil.copyfile(ENVIRONMENT / "empty.db", store)
        command = [
            str(ENVIRONMENT / "bin" / "mlflow"),
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{store}"]
        command += ["--serve-artifacts", "--artifacts-destination", str(artefacts)]
        started = subprocess.run(
            [sys.executable, __file__, str(ends_with), str(self.folder / "server.log"), *command],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={
                **os.environ,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
        )
        (self.folder / "keeper.pid").write_text(started.stdout)
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill it with all its workers, as when its machine fails."""
        keeper = int((self.folder / "keeper.pid").read_text())
        os.killpg(keeper, signal.SIGKILL)
        while self.answers():
            time.sleep(0.05)

    def answers(self) -> bool:
        """Return whether it answers now."""
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def log(self) -> str:
        """Return what it said."""
        return (self.folder / "server.log").read_text()[-4000:]


@contextmanager
def shared(factory: pytest.TempPathFactory, *, alone: bool = False) -> Iterator[MlflowServer]:
    """Yield the server of a test run; `alone`: no other test uses it meanwhile."""
    if not (ENVIRONMENT / ".ready").is_file():
        missing("No MLflow is installed. Install it with: make mlflow")
    base = factory.getbasetemp()
    folder = (base.parent if _IS_WORKER else base) / "mlflow"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = folder / "port"
        if not found.exists():
            server = MlflowServer(folder, free_ports(1)[0])
            server.start(ends_with=_whole_run())
            found.write_text(str(server.port))
        if not alone:
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield MlflowServer(folder, int(found.read_text()))


def _whole_run() -> int:
    """Return the process that ends with the test run: this one, or of a worker the one that gave it to it."""
    return os.getppid() if _IS_WORKER else os.getpid()


class MlflowTracker:
    """The server looked at over its REST API, beside the mirror and not by its code."""

    def __init__(self, address: str) -> None:
        self._address = address

    def mirror(self) -> Mirror:
        """Return a new mirror at it."""
        return Mirror({"MLFLOW_TRACKING_URI": self._address, "MLFLOW_HTTP_REQUEST_TIMEOUT": "60"})

    def mirror_at(self, address: str, *, timeout: float) -> Mirror:
        """Return a mirror at another address that holds a secret."""
        given = {"MLFLOW_TRACKING_URI": address, "MLFLOW_TRACKING_TOKEN": SECRET}
        return Mirror({**given, "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout)})

    def runs(self, model: str) -> list[Shown]:
        """Return what it shows of the runs of a model's experiment."""
        found = self._ask("experiments/get-by-name", experiment_name=model)["experiment"]
        body = {
            "experiment_ids": [found["experiment_id"]],
            "order_by": ["start_time ASC"],
            "max_results": 1000,
        }
        return [self._shown(run) for run in self._ask("runs/search", body).get("runs", [])]

    def versions(self, model: str) -> dict[str, str]:
        """Return the numbers of a model's versions, and the run of each."""
        found = self._ask("model-versions/search", filter=f"name = '{model}'", max_results=1000)
        return {one["version"]: one["run_id"] for one in found.get("model_versions", [])}

    def aliases(self, model: str) -> dict[str, str]:
        """Return the aliases of a model."""
        held = self._ask("registered-models/get", name=model)["registered_model"].get("aliases", [])
        return {one["alias"]: one["version"] for one in held}

    def tags(self, model: str) -> dict[str, dict[str, str]]:
        """Return the tags of each version."""
        found = self._ask("model-versions/search", filter=f"name = '{model}'", max_results=1000)
        return {v["version"]: _pairs(v.get("tags", [])) for v in found.get("model_versions", [])}

    def _shown(self, run: dict[str, Any]) -> Shown:
        info, data = run["info"], run["data"]
        tags = _pairs(data.get("tags", []))
        latest = {one["key"]: _number(one["value"]) for one in data.get("metrics", [])}
        read = {
            one["dataset"]["name"]: one["dataset"]["digest"]
            for one in run["inputs"].get("dataset_inputs", [])
        }
        return Shown(
            remote=info["run_id"],
            name=info["run_name"],
            status=_STATUS[info["status"]],
            started_at=_moment(info["start_time"]),
            finished_at=_moment(info["end_time"]) if info.get("end_time") else None,
            params=_pairs(data.get("params", [])),
            latest=latest,
            metrics={name: self._history(info["run_id"], name) for name in latest},
            tags=tags,
            files=self._files(info["artifact_uri"].removeprefix("mlflow-artifacts:/")),
            parent=tags.get("mlflow.parentRunId", ""),
            data=read,
        )

    def _history(self, run: str, name: str) -> list[tuple[int, float | None]]:
        found = self._ask("metrics/get-history", run_id=run, metric_key=name, max_results=25000)["metrics"]
        rows = sorted(found, key=lambda one: (int(one.get("step", 0)), one["timestamp"]))
        return [(int(one.get("step", 0)), _number(one["value"])) for one in rows]

    def _files(self, folder: str, below: str = "") -> dict[str, bytes]:
        base = f"{self._address}/api/2.0/mlflow-artifacts/artifacts"
        path = f"{folder}/{below}".rstrip("/")
        listed = json.loads(_read(f"{base}?path={urllib.parse.quote(path)}")).get("files", [])
        found: dict[str, bytes] = {}
        for one in listed:
            name = f"{below}/{one['path']}".lstrip("/")
            if one.get("is_dir"):
                found |= self._files(folder, name)
            else:
                found[name] = _read(f"{base}/{urllib.parse.quote(f'{folder}/{name}')}")
        return found

    def _ask(self, path: str, body: Any = None, **query: Any) -> Any:
        asked = f"?{urllib.parse.urlencode(query)}" if query else ""
        return json.loads(_read(f"{self._address}/api/2.0/mlflow/{path}{asked}", body))


def in_mlflow(program: Path, *arguments: str, address: str) -> Any:
    """Run a program with MLflow's own client, and return the JSON that it prints last."""
    done = subprocess.run(
        [str(ENVIRONMENT / "bin" / "python"), str(program), *arguments],
        env={**os.environ, "MLFLOW_TRACKING_URI": address, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def _read(url: str, body: Any = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return bytes(answer.read())


def _pairs(values: list[dict[str, str]]) -> dict[str, str]:
    return {one["key"]: one.get("value", "") for one in values}


def _number(value: float | str) -> float | None:
    number = float(value)
    return None if number != number else number


def _moment(millis: int) -> datetime:
    return datetime.fromtimestamp(int(millis) / 1000, UTC)


def _keep(ends_with: int, log: str, command: list[str]) -> None:
    """Say a process id, and there run a server for as long as a process lives, in a group that can be killed as a whole."""
    keeper = os.fork()
    if keeper:
        sys.stdout.write(str(keeper))
        return
    os.setsid()
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    server = subprocess.Popen(command)
    while server.poll() is None:
        try:
            os.kill(ends_with, 0)
        except ProcessLookupError:
            os.killpg(os.getpid(), signal.SIGKILL)
        time.sleep(0.2)


if __name__ == "__main__":
    _keep(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
