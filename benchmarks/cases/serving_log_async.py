"""What the log costs as it is by default, flushed twice a second and shipped: against a server that keeps no entries.

One row, 64 in flight, until enough has been logged that segments are shipped.
"""

from __future__ import annotations

import sys

import arena
from harness import HERE, Benchmark, Reading

UNLOGGED = [sys.executable, str(HERE / "unlogged.py")]


def _asked(given: arena.Arena, name: str, command: list[str] | None) -> Reading:
    server, requests = given.ours(name, command=command), given.requests(64) * (1 if given.quick else 2)
    driven = server.drive(arena.PATH, arena.body_of(1), requests=requests, concurrency=64)
    return Reading(1e3 / driven.rate, {"requests/s": driven.rate, "CPU ms": driven.cpu_ms})


BENCHMARK = Benchmark(
    title="wall time of one row, 64 in flight, with the log against without",
    unit="ms",
    prepare=arena.prepare,
    ours=lambda given: _asked(given, "usual", None),
    floor=lambda given: _asked(given, "unlogged", UNLOGGED),
    floors=1 / 0.9,
    rounds=5,
)
