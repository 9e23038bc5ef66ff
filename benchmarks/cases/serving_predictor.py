"""CPU of `td.Predictor` for one row, with checks and log, against bare ONNX Runtime with arrays that are ready."""

from __future__ import annotations

import atexit
import functools
import json
from typing import Any

import numpy as np
import onnxruntime

import arena
import project
import treadle as td
from harness import Benchmark, Peer, cpu_of


@functools.cache
def predictor(root: str) -> Any:
    """Return the predictor."""
    made = td.Predictor("late", project=root)
    atexit.register(made.close)
    return made


@functools.cache
def session(path: str) -> Any:
    """Return the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ours(given: arena.Arena) -> float:
    """Ask one row at a time."""
    asked, times = predictor(str(given.copy("predictor"))), 200 if given.quick else 20_000
    return cpu_of(lambda: [asked.predict(project.ROW) for _ in range(times)]) / times * 1e6


def floor(given: arena.Arena) -> float:
    """Run the session one row at a time."""
    bare, times = session(str(given.model)), 200 if given.quick else 20_000
    kinds: dict[str, Any] = {"carrier": object, "origin": object, "distance": np.int64, "hour": np.int64}
    feed = {
        name: np.array([[value]], dtype=kinds.get(name, np.float32)) for name, value in project.ROW.items()
    }
    return cpu_of(lambda: [bare.run(["prediction", "probability"], feed) for _ in range(times)]) / times * 1e6


class PyFunc(Peer):
    """MLflow in a process of its own."""

    def measure(self, prepared: arena.Arena) -> float:
        """Write the model where it is not yet, and ask it."""
        prepared.mlflow_model(self)
        return super().measure(prepared)


BENCHMARK = Benchmark(
    title="CPU of one row in this process, against bare ONNX Runtime",
    unit="µs of CPU",
    prepare=arena.prepare,
    ours=ours,
    floor=floor,
    peers={
        "mlflow.pyfunc": PyFunc(
            script=arena.PEERS["MLflow"][0],
            packages=arena.PEERS["MLflow"][1],
            arguments=lambda given: (
                "pyfunc",
                str(given.folder / "mlflow-model"),
                str(given.model),
                json.dumps(project.ROW),
                "50" if given.quick else "500",
            ),
        )
    },
    floors=1.5,
    ahead={"mlflow.pyfunc": 20},
    rounds=5,
)
