"""The servers of a sitting: ours in several set-ups, the echo and the peers, each started once and kept until the end.

All answer with the same model, flights of mixed columns and 100 boosted trees, and are asked over the same client. Nobody
is asked while another one is: the next begins when the last answer to the one before has come.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import project
import treadle as td
from harness import ENVIRONMENTS, HERE, Benchmark, Peer, Reading
from load import Drive, Server, free_port
from treadle.registry import packages

#: Requests of one stretch, by how many are in flight; peers that are slow stop when the time is over.
REQUESTS, SECONDS = {1: 2_000, 16: 8_000, 64: 16_000}, {1: 4.0, 16: 6.0, 64: 8.0}
#: Python of each peer, and what it needs.
PEERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "FastAPI": ("fastapi_onnx.py", ("fastapi", "uvicorn[standard]", "pydantic==2.*", "onnxruntime", "numpy")),
    "LitServe": ("litserve_onnx.py", ("litserve", "uvloop", "httptools", "onnxruntime", "numpy")),
    "BentoML": ("bentoml_onnx.py", ("bentoml", "onnxruntime", "numpy")),
    "MLServer": ("mlserver_onnx.py", ("mlserver", "onnxruntime", "numpy")),
    "MLflow": ("mlflow_model.py", ("mlflow", "scikit-learn", "polars", "pandas", "onnxruntime", "onnx")),
    "Ray Serve": ("ray_serve.py", ("ray[serve]", "onnxruntime", "numpy")),
}


@dataclass(frozen=True, kw_only=True)
class Rival(Peer):
    """A peer that serves, asked at so many requests in flight with so many rows each."""

    name: str
    concurrency: int = 1
    rows: int = 1

    def measure(self, prepared: Arena) -> float:
        """Return the CPU milliseconds of a request."""
        path, body, headers = request(self.name, self.rows)
        return reading(
            prepared.rival(self).drive(
                path,
                body,
                headers=headers,
                requests=prepared.requests(self.concurrency),
                concurrency=self.concurrency,
                seconds=SECONDS[self.concurrency],
            )
        )


class Arena:
    """What is running, by what it is."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.folder = Path(tempfile.mkdtemp(prefix="treadle-arena-"))
        self._servers: dict[str, Server] = {}
        atexit.register(self.end)
        self.project = self.folder / "project"
        self.project.mkdir()
        project.make(self.project, rows=5_000 if quick else 50_000)
        with td.open(self.project) as workspace:
            version = workspace.models.get("late@champion")
            _, files = packages.read(version.digest, objects=workspace.objects, cache=self.folder / "cache")
        self.model = self.folder / "model.onnx"
        self.model.write_bytes(files["model.onnx"])

    def requests(self, concurrency: int) -> int:
        """Return how many requests a stretch has."""
        return max(concurrency * 20, 500) if self.quick else REQUESTS[concurrency]

    def ours(
        self,
        name: str = "",
        settings: Mapping[str, str] | None = None,
        *,
        before: Callable[[Path], object] | None = None,
        command: Sequence[str] | None = None,
    ) -> Server:
        """Return our server on a project of its own, with settings by environment; `before` prepares the project."""
        if before and f"ours {name}" not in self._servers:
            before(self.copy(name))
        return self._kept(f"ours {name}", functools.partial(self.start_ours, name, settings or {}, command))

    def start_ours(
        self, name: str, settings: Mapping[str, str], command: Sequence[str] | None = None
    ) -> Server:
        """Start our server, by another command than the usual one where one is given."""
        root, port = self.copy(name), free_port()
        variables = {f"TREADLE_SERVING__{key.upper()}": value for key, value in settings.items()}
        return Server(
            [*(command or project.TREADLE), "serve", "--port", str(port)],
            port=port,
            ready="/readyz",
            cwd=root,
            env=variables,
        )

    def copy(self, name: str) -> Path:
        """Return a copy of the project; one that is there already is used again."""
        root = self.folder / f"project-{name.replace(' ', '-')}"
        if not root.exists():
            shutil.copytree(self.project, root)
        return root

    def echo(self) -> Server:
        """Return the server that sends the body back."""
        return self._kept("echo", self.start_echo)

    def start_echo(self) -> Server:
        """Start the server that sends the body back."""
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "rsgi",
            "--port",
            str(port),
            "--no-ws",
            "echo:app",
        ]
        return Server(command, port=port, ready="/", cwd=HERE, env={"PYTHONPATH": str(HERE)})

    def kept(self, name: str, start: Callable[[], Server]) -> Server:
        """Return a server of a benchmark's own, started when it is first asked for."""
        return self._kept(name, start)

    def rival(self, rival: Rival) -> Server:
        """Return a peer's server."""
        return self._kept(rival.name, functools.partial(self.start_rival, rival))

    def start_rival(self, rival: Rival) -> Server:
        """Start a peer's server."""
        port, places = free_port(), self.folder / rival.folder.name
        places.mkdir(exist_ok=True)
        environment = {
            "PEER_MODEL": str(self.model),
            "PEER_ROW": json.dumps(project.ROW),
            "PYTHONPATH": str(HERE / "peers"),
            "PATH": f"{rival.folder / 'bin'}:{os.environ['PATH']}",
            "BENTOML_DO_NOT_TRACK": "true",
            "RAY_USAGE_STATS_ENABLED": "0",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "HOME": str(places),
        }
        path, body, _ = request(rival.name, 1)
        ready = {"FastAPI": "/ready", "Ray Serve": "/predict", "LitServe": "/health"}.get(rival.name, path)
        return Server(
            self._command(rival, port, places),
            port=port,
            ready=ready,
            cwd=HERE / "peers",
            env=environment,
            body=None if ready != path or rival.name == "Ray Serve" else body,
        )

    def _command(self, rival: Rival, port: int, places: Path) -> Sequence[str]:
        bin_ = rival.folder / "bin"
        if rival.name == "BentoML":
            return [
                str(bin_ / "bentoml"),
                "serve",
                "bentoml_onnx:Flights",
                "--port",
                str(port),
                "--host",
                "127.0.0.1",
            ]
        if rival.name == "MLServer":
            _write_mlserver(places, port)
            return [str(bin_ / "mlserver"), "start", str(places)]
        if rival.name == "MLflow":
            return [
                *(str(bin_ / "mlflow"), "models", "serve", "--model-uri", str(self.mlflow_model(rival))),
                *("--env-manager", "local", "--port", str(port), "--workers", "1"),
            ]
        return [str(rival.python), rival.script, str(port)]

    def mlflow_model(self, rival: Peer) -> Path:
        """Return the folder of the model as MLflow keeps it."""
        folder = self.folder / "mlflow-model"
        if not folder.exists():
            environment = {**os.environ, "PEER_MODEL": str(self.model), "PEER_ROW": json.dumps(project.ROW)}
            command = [str(rival.python), str(HERE / "peers" / rival.script), "save", str(folder)]
            subprocess.run(
                command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        return folder

    def _kept(self, name: str, start: Callable[[], Server]) -> Server:
        if name not in self._servers:
            self._servers[name] = start()
        return self._servers[name]

    def end(self) -> None:
        """End all servers."""
        for server in self._servers.values():
            server.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def _arena(quick: bool) -> Arena:
    return Arena(quick=quick)


def prepare(folder: Path, quick: bool) -> Arena:
    """Return the arena of this sitting; all cases share it."""
    return _arena(quick)


def reading(driven: Drive) -> Reading:
    """Return CPU milliseconds of a request, with what a caller sees beside them."""
    return Reading(driven.cpu_ms, {"requests/s": driven.rate, "p99 ms": driven.quantile(0.99)})


def rows_of(count: int) -> list[dict[str, object]]:
    """Return rows that differ, so that no branch is guessed right for all of them."""
    draw = np.random.default_rng(1)
    return [
        {
            "carrier": str(draw.choice(["AA", "B6", "DL", "EV", "UA", "US"])),
            "origin": str(draw.choice(["EWR", "JFK", "LGA"])),
            "distance": int(draw.integers(80, 5000)),
            "hour": int(draw.integers(5, 24)),
            "temp": round(float(draw.normal(50, 14)), 1),
            "wind": round(float(draw.normal(12, 6)), 1),
        }
        for _ in range(count)
    ]


@functools.cache
def body_of(rows: int) -> bytes:
    """Return a request in the plain route's words."""
    return json.dumps({"rows": [project.ROW] if rows == 1 else rows_of(rows)}).encode()


@functools.cache
def request(name: str, rows: int) -> tuple[str, bytes, Mapping[str, str]]:
    """Return path, body and headers of a request to a peer: the same bytes, where it can read them."""
    headers = {"content-type": "application/json"}
    if name == "MLServer":
        return "/v2/models/late/infer", v2_body(rows), headers
    if name == "MLflow":
        told = json.loads(body_of(rows))
        return "/invocations", json.dumps({"dataframe_records": told["rows"]}).encode(), headers
    return "/predict", body_of(rows), headers


_V2 = {
    "carrier": "BYTES",
    "origin": "BYTES",
    "distance": "INT64",
    "hour": "INT64",
    "temp": "FP32",
    "wind": "FP32",
}


def v2_body(rows: int) -> bytes:
    """Return a request of the Open Inference Protocol in JSON."""
    told = json.loads(body_of(rows))["rows"]
    inputs = [
        {"name": name, "shape": [rows, 1], "datatype": kind, "data": [row[name] for row in told]}
        for name, kind in _V2.items()
    ]
    return json.dumps({"inputs": inputs}).encode()


def v2_binary(rows: int) -> tuple[bytes, Mapping[str, str]]:
    """Return a request of the Open Inference Protocol with binary tensors, and its headers."""
    told = json.loads(body_of(rows))["rows"]
    inputs, blobs = [], []
    for name, kind in _V2.items():
        values = [row[name] for row in told]
        if kind == "BYTES":
            blob = b"".join(len(text).to_bytes(4, "little") + text.encode() for text in values)
        else:
            blob = np.array(values, dtype={"INT64": "<i8", "FP32": "<f4"}[kind]).tobytes()
        about = {"binary_data_size": len(blob)}
        inputs.append({"name": name, "shape": [rows, 1], "datatype": kind, "parameters": about})
        blobs.append(blob)
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return head + b"".join(blobs), headers


def single_row(concurrency: int, *, floors: float, ahead: Mapping[str, float] | None = None) -> Benchmark:
    """Return the benchmark of one row a request, at so many in flight, against everybody."""
    body = body_of(1)

    def ours(arena: Arena) -> Reading:
        sent = arena.requests(concurrency)
        return reading(arena.ours().drive(PATH, body, requests=sent, concurrency=concurrency))

    def floor(arena: Arena) -> Reading:
        sent = arena.requests(concurrency)
        return reading(arena.echo().drive("/", body, requests=sent, concurrency=concurrency))

    return Benchmark(
        title=f"server CPU of one row, {concurrency} in flight, against Granian sending the body back",
        unit="ms of CPU",
        prepare=prepare,
        ours=ours,
        floor=floor,
        peers=rivals(concurrency),
        floors=floors,
        ahead=ahead or {},
        leads=True,
        rounds=3,
    )


def against(
    title: str, *, ours: Mapping[str, str], floor: Mapping[str, str], floors: float, rounds: int = 5
) -> Benchmark:
    """Return the benchmark of one row, 64 in flight, with some settings against others: what callers wait for."""

    def asked(arena: Arena, settings: Mapping[str, str]) -> Reading:
        name = ", ".join(f"{key} {value}" for key, value in settings.items()) or "usual"
        driven = arena.ours(name, settings).drive(
            PATH, body_of(1), requests=arena.requests(64), concurrency=64, seconds=SECONDS[64]
        )
        return Reading(1e3 / driven.rate, {"requests/s": driven.rate, "CPU ms": driven.cpu_ms})

    return Benchmark(
        title=title,
        unit="ms",
        prepare=prepare,
        ours=lambda arena: asked(arena, ours),
        floor=lambda arena: asked(arena, floor),
        floors=floors,
        rounds=rounds,
    )


def rivals(concurrency: int, rows: int = 1) -> dict[str, Rival]:
    """Return all peers."""
    return {
        name: Rival(
            name=name,
            script=script,
            packages=packages_,
            arguments=lambda _: (),
            concurrency=concurrency,
            rows=rows,
        )
        for name, (script, packages_) in PEERS.items()
    }


PATH = "/v1/endpoints/late/predict"


def _write_mlserver(folder: Path, port: int) -> None:
    settings = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "host": "127.0.0.1"}
    more = {"parallel_workers": 0, "debug": False, "metrics_dir": str(folder)}
    (folder / "settings.json").write_text(json.dumps({**settings, **more}))
    model = {"name": "late", "implementation": "mlserver_onnx.Flights"}
    (folder / "model-settings.json").write_text(json.dumps(model))


__all__ = ["ENVIRONMENTS", "PATH", "Arena", "Rival", "prepare", "reading", "single_row"]


def in_protocol(kind: str, body: bytes, *, headers: Mapping[str, str], share: float) -> Benchmark:
    """Return the benchmark of one row in the Open Inference Protocol, which has to reach so much of the plain route."""

    def ours(arena: Arena) -> Reading:
        sent = arena.requests(16)
        path = "/v2/models/late/infer"
        return reading(arena.ours().drive(path, body, headers=headers, requests=sent, concurrency=16))

    def floor(arena: Arena) -> Reading:
        return reading(arena.ours().drive(PATH, body_of(1), requests=arena.requests(16), concurrency=16))

    return Benchmark(
        title=f"server CPU of one row in the Open Inference Protocol, {kind}, against the plain route",
        unit="ms of CPU",
        prepare=prepare,
        ours=ours,
        floor=floor,
        floors=1 / share,
        rounds=5,
    )
