"""CPU that the server spends on a request of one row, against a server that only sends the request back.

Ours also checks every field, logs the answered row and ships the log; the floor and the peer log nothing.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import project
import treadle as td
from harness import HERE, Benchmark, Peer
from load import Server, free_port
from treadle.registry import packages

BODY = json.dumps({"rows": [project.ROW]}).encode()


@dataclass
class Input:
    """Two running servers, and the model for the peers."""

    folder: Path
    ours: Server
    floor: Server
    requests: int

    def close(self) -> None:
        """End the servers."""
        self.ours.close()
        self.floor.close()


def prepare(folder: Path, quick: bool) -> Input:
    """Make a project with a champion, and start both servers with one worker each."""
    project.make(folder, rows=5_000 if quick else 50_000)
    with td.open(folder) as workspace:
        version = workspace.models.get("late@champion")
        _, files = packages.read(version.digest, objects=workspace.objects, cache=folder / "cache")
    (folder / "model.onnx").write_bytes(files["model.onnx"])
    port, other = free_port(), free_port()
    treadle = Server(
        [*project.TREADLE, "serve", "--port", str(port)], port=port, ready="/readyz", cwd=folder, env={}
    )
    try:
        echo = [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "rsgi",
            "--port",
            str(other),
            "--no-ws",
            "echo:app",
        ]
        floor = Server(echo, port=other, ready="/", cwd=HERE, env={"PYTHONPATH": str(HERE)})
    except RuntimeError:
        treadle.close()
        raise
    return Input(folder, treadle, floor, 200 if quick else 4_000)


def ours(given: Input) -> float:
    """Ask for a prediction."""
    return given.ours.cpu_per_request("/v1/endpoints/late/predict", BODY, requests=given.requests)


def floor(given: Input) -> float:
    """Get the body back."""
    return given.floor.cpu_per_request("/", BODY, requests=given.requests)


BENCHMARK = Benchmark(
    title="server CPU for one row over loopback, one connection, 100 boosted trees in ONNX Runtime",
    unit="ms of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "FastAPI + pydantic + ONNX Runtime": Peer(
            script="fastapi_onnx.py",
            packages=("fastapi", "uvicorn[standard]", "pydantic==2.*", "onnxruntime", "numpy"),
            arguments=lambda given: [
                str(given.folder / "model.onnx"),
                json.dumps(project.ROW),
                str(given.requests),
                os.fspath(HERE),
            ],
        )
    },
    floors=3,
    rounds=3,
)
