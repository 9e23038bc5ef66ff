"""CPU of a request of 64 rows, against bare ONNX Runtime on the same rows and decoding them.

The floor is what nobody can do without: the body is decoded to columns by msgspec, and the model is run. It has no
server; what a server costs that sends the same bytes back is said beside (`echo ms`).
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import numpy as np
import onnxruntime

import arena
from harness import Benchmark, Reading, cpu_of

BODY = arena.body_of(64)


class Row(msgspec.Struct):
    """A row, as one would write it down."""

    carrier: str
    origin: str
    distance: int
    hour: int
    temp: float | None
    wind: float | None


class Body(msgspec.Struct):
    """A request."""

    rows: list[Row]


@functools.cache
def session(path: str) -> Any:
    """Return the model."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def ours(given: arena.Arena) -> Reading:
    """Ask for 64 predictions."""
    requests = 50 if given.quick else 1_500
    return arena.reading(given.ours().drive(arena.PATH, BODY, requests=requests))


def floor(given: arena.Arena) -> Reading:
    """Decode and run."""
    bare, decoder = session(str(given.model)), msgspec.json.Decoder(Body)
    kinds: dict[str, Any] = {"carrier": object, "origin": object, "distance": np.int64, "hour": np.int64}

    def answer() -> None:
        columns = zip(*map(msgspec.structs.astuple, decoder.decode(BODY).rows), strict=True)
        feed = {
            name: np.array(column, dtype=kinds.get(name, np.float32)).reshape(-1, 1)
            for name, column in zip(Row.__struct_fields__, columns, strict=True)
        }
        bare.run(["prediction", "probability"], feed)

    times = 50 if given.quick else 1_500
    cpu = cpu_of(lambda: [answer() for _ in range(times)]) / times * 1e3
    echo = given.echo().drive("/", BODY, requests=times)
    return Reading(cpu, {"echo ms": echo.cpu_ms})


BENCHMARK = Benchmark(
    title="CPU of 64 rows a request, one connection, against decoding and bare ONNX Runtime without a server",
    unit="ms of CPU",
    prepare=arena.prepare,
    ours=ours,
    floor=floor,
    peers=arena.rivals(1, rows=64),
    floors=1.3,
    rounds=3,
)
