"""CPU of comparing 1,000 columns, against twenty times that of 50."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import drifting
from harness import Benchmark, cpu_of


@dataclass(frozen=True)
class Two:
    """The same rows with many and with few columns."""

    many: drifting.Prepared
    few: drifting.Prepared


def prepare(folder: Path, quick: bool) -> Two:
    """Store references of 1,000 and of 50 columns."""
    rows, reference = (500, 2_000) if quick else (10_000, 20_000)
    for name in ("many", "few"):
        (folder / name).mkdir()
    return Two(
        drifting.prepare(folder / "many", rows=rows, reference=reference, numbers=600, categories=400),
        drifting.prepare(folder / "few", rows=rows, reference=reference),
    )


def _few(two: Two) -> None:
    for _ in range(20):
        drifting.compared(two.few.reference, two.few.window)


BENCHMARK = Benchmark(
    title="10,000 rows of 1,000 columns are compared, against 20 comparisons of 50 columns",
    unit="s of CPU",
    prepare=prepare,
    ours=lambda two: cpu_of(lambda: drifting.compared(two.many.reference, two.many.window)),
    floor=lambda two: cpu_of(lambda: _few(two)),
    floors=1.3,
    rounds=3,
)
