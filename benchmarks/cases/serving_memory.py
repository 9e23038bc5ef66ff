"""Megabytes of a worker after 20,000 answers: its largest process, what it shares with others counted in part."""

from __future__ import annotations

import arena
from harness import Benchmark
from load import Server


def _after(server: Server, path: str, given: arena.Arena) -> float:
    server.drive(path, arena.body_of(1), requests=200 if given.quick else 20_000, concurrency=16)
    return server.memory()


BENCHMARK = Benchmark(
    title="memory of a worker after 20,000 answers",
    unit="MB",
    prepare=arena.prepare,
    ours=lambda given: _after(given.ours("memory"), arena.PATH, given),
    floor=lambda given: _after(given.echo(), "/", given),
    limit=120,
    rounds=1,
)
