"""A chain of steps, each the sum of what came before, with results that are kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import cpu_of
from treadle.core.clock import SystemClock
from treadle.loop.steps import Steps, key_of
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects

STEPS = 100


@dataclass
class Input:
    """Where results are kept, and how many chains were run."""

    folder: Path
    ledger: Ledger
    steps: Steps
    rounds: int = 0

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    def run(self, chain: int) -> int:
        """Run a chain, or find what it left."""
        value = 0
        for number in range(STEPS):
            key = key_of("add", {"chain": chain, "number": number, "value": value})
            before = value
            kept = self.steps.once(
                "add", key=key, run="run", work=lambda before=before, n=number: ({"sum": before + n}, ())
            )
            value = kept.value["sum"]
        return value


def prepare(folder: Path, quick: bool) -> Input:
    """Make a ledger."""
    ledger = Ledger.open("sqlite:///ledger.db", root=folder)
    objects = Objects.open("objects", root=folder, options={})
    return Input(folder, ledger, Steps(ledger, objects, SystemClock()))


def timed(work: Callable[[], Any]) -> float:
    """Return the milliseconds of CPU that a call takes; how long the disk takes to flush is not ours."""
    return cpu_of(work) * 1000


def journal(folder: Path, *, flush: bool) -> None:
    """Append a line for each step, on the disk before the next one begins where `flush` says so."""
    with (folder / "journal.txt").open("ab", buffering=0) as file:
        for number in range(STEPS):
            file.write(b'{"step":"add","number":%d}\n' % number)
            if flush:
                os.fsync(file.fileno())
