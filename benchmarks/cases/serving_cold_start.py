"""CPU from nothing to the first answer, against a server that only sends the request back."""

from __future__ import annotations

import dataclasses

import arena
from harness import Benchmark, Reading
from load import Server


def _started(server: Server) -> Reading:
    try:
        return Reading(server.start_cpu, {"MB": server.memory()})
    finally:
        server.close()


def ours(given: arena.Arena) -> Reading:
    """Start our server and ask it."""
    return _started(given.start_ours("cold", {}))


class Start(arena.Rival):
    """A peer that is started afresh each time."""

    def measure(self, prepared: arena.Arena) -> float:
        """Return the CPU seconds until it answers."""
        return _started(prepared.start_rival(self))


BENCHMARK = Benchmark(
    title="CPU of all processes from the command to the first answer; beside it the memory of the largest process then",
    unit="s of CPU",
    prepare=arena.prepare,
    ours=ours,
    floor=lambda given: _started(given.start_echo()),
    peers={
        name: Start(**{f.name: getattr(rival, f.name) for f in dataclasses.fields(rival)})
        for name, rival in arena.rivals(1).items()
    },
    limit=1.5,
    rounds=3,
)
