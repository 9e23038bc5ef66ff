"""Megabytes of a worker after 20,000 answers, what it shares with others counted in part; all processes of the server beside.

The process that ships the log is no worker: a server has one, however many workers it has.
"""

from __future__ import annotations

import arena
from harness import Benchmark, Reading
from load import Server

SHIPPING = "treadle.app.shipping"


def _after(server: Server, path: str, given: arena.Arena) -> Reading:
    server.drive(path, arena.body_of(1), requests=200 if given.quick else 20_000, concurrency=16)
    return Reading(server.memory(beside=SHIPPING), {"all processes MB": server.memory_of_all()})


BENCHMARK = Benchmark(
    title="memory of a worker after 20,000 answers",
    unit="MB",
    prepare=arena.prepare,
    ours=lambda given: _after(given.ours("memory"), arena.PATH, given),
    floor=lambda given: _after(given.echo(), "/", given),
    limit=120,
    rounds=1,
)
