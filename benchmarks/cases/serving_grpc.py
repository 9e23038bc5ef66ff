"""The Open Inference Protocol over gRPC against a bare grpcio server with the same messages: CPU of one row, 16 in flight.

The bare server reads the request and answers with as much; it has no model, no checks and no log. Both run on the same loop.
"""

from __future__ import annotations

import asyncio
import functools
import struct
import sys
import time
from typing import Any

import grpc

import arena
import project
from harness import HERE, Benchmark, Reading
from load import Server, free_port
from treadle.serving.inference_messages import SERVICE, message

_KINDS: dict[type, str] = {str: "BYTES", int: "INT64", float: "FP32"}


def request() -> bytes:
    """Return one row as `ModelInferRequest`, as Triton's client makes it."""
    made = message("ModelInferRequest")(model_name="late")
    for name, value in project.ROW.items():
        made.inputs.add(name=name, datatype=_KINDS[type(value)], shape=[1])
        if isinstance(value, str):
            raw = struct.pack("<I", len(value)) + value.encode()
        else:
            raw = struct.pack("<q" if isinstance(value, int) else "<f", value)
        made.raw_input_contents.append(raw)
    return made.SerializeToString()


def drive(server: Server, port: int, *, requests: int, concurrency: int) -> Reading:
    """Ask over one channel with so many calls in flight, and return the server's CPU milliseconds for each."""
    data = request()

    async def all_of(count: int, channel: Any) -> None:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")

        async def one(times: int) -> None:
            for _ in range(times):
                answer = message("ModelInferResponse").FromString(await call(data, timeout=60))
                assert len(answer.outputs) == 2

        await asyncio.gather(*(one(count // concurrency) for _ in range(concurrency)))

    async def measured() -> Reading:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await all_of(max(concurrency, requests // 10), channel)
            before, began = server.cpu(), time.monotonic()
            await all_of(requests, channel)
            rate = requests / (time.monotonic() - began)
            return Reading(server.cpu_since(before) / requests * 1e3, {"requests/s": rate})

    return asyncio.run(measured())


@functools.cache
def _port(name: str) -> int:
    return free_port()


def _echo() -> Server:
    ready = free_port()
    command = [sys.executable, "grpc_echo.py", str(_port("echo")), str(ready)]
    return Server(command, port=ready, ready="/", cwd=HERE, env={})


def ours(given: arena.Arena) -> Reading:
    """Ask for a prediction."""
    server = given.ours("grpc", {"grpc_port": str(_port("ours"))})
    return drive(server, _port("ours"), requests=given.requests(16), concurrency=16)


def floor(given: arena.Arena) -> Reading:
    """Ask the server that does nothing."""
    server = given.kept("grpc echo", _echo)
    return drive(server, _port("echo"), requests=given.requests(16), concurrency=16)


BENCHMARK = Benchmark(
    title="server CPU of one row over gRPC, 16 in flight, against a bare grpcio server with the same messages",
    unit="ms of CPU",
    prepare=arena.prepare,
    ours=ours,
    floor=floor,
    floors=1.5,
    rounds=5,
)
