"""What two workers answer in a second, against one: both on the machine's two cores, which the client needs too.

The unit is milliseconds of wall time for a request, so less is better; the goal is 1.7 times as many requests.
"""

from __future__ import annotations

import arena
from harness import Benchmark, Reading

BODY = arena.body_of(64)


def _took(given: arena.Arena, workers: int) -> Reading:
    server = given.ours(f"{workers} workers", {"workers": str(workers)})
    driven = server.drive(arena.PATH, BODY, requests=200 if given.quick else 6_000, concurrency=32, seconds=8)
    return Reading(1e3 / driven.rate, {"requests/s": driven.rate, "CPU ms": driven.cpu_ms})


BENCHMARK = Benchmark(
    title="wall time of a request of 64 rows, 32 in flight, with two workers against one",
    unit="ms",
    prepare=arena.prepare,
    ours=lambda given: _took(given, 2),
    floor=lambda given: _took(given, 1),
    floors=1 / 1.7,
    rounds=5,
)
