"""CPU of comparing 1,000,000 rows with a stored reference, against the bare scan."""

from __future__ import annotations

from pathlib import Path

import drifting
from harness import Benchmark, cpu_of


def prepare(folder: Path, quick: bool) -> drifting.Prepared:
    """Store the reference of 1,000,000 rows of 30 numbers and 20 categories."""
    return drifting.prepare(
        folder, rows=5_000 if quick else 1_000_000, reference=20_000 if quick else drifting.REFERENCE
    )


BENCHMARK = Benchmark(
    title="1,000,000 rows of 50 columns are compared with the stored reference of 1,000,000",
    unit="s of CPU",
    prepare=prepare,
    ours=lambda prepared: cpu_of(lambda: drifting.compared(prepared.reference, prepared.window)),
    floor=lambda prepared: cpu_of(lambda: drifting.scanned(prepared.reference, prepared.window)),
    floors=2,
    limit=2.5,
    rounds=3,
)
