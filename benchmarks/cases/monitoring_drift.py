"""CPU of comparing 100,000 rows with a stored reference, against the bare scan, NannyML and Evidently."""

from __future__ import annotations

from pathlib import Path

import drifting
from harness import Benchmark, Peer, cpu_of


def prepare(folder: Path, quick: bool) -> drifting.Prepared:
    """Store the reference of 1,000,000 rows of 30 numbers and 20 categories."""
    return drifting.prepare(
        folder, rows=2_000 if quick else 100_000, reference=20_000 if quick else drifting.REFERENCE
    )


def _files(prepared: drifting.Prepared) -> list[str]:
    return [str(prepared.learnt), str(prepared.file)]


BENCHMARK = Benchmark(
    title="100,000 rows of 50 columns are compared with the stored reference of 1,000,000",
    unit="s of CPU",
    prepare=prepare,
    ours=lambda prepared: cpu_of(lambda: drifting.compared(prepared.reference, prepared.window)),
    floor=lambda prepared: cpu_of(lambda: drifting.scanned(prepared.reference, prepared.window)),
    peers={
        # Their reference is a tenth of ours, and fitting it is not counted.
        "NannyML, scoring": Peer(
            script="nannyml_drift.py",
            packages=("nannyml==0.13.*", "statsmodels"),
            arguments=_files,
        ),
        "Evidently": Peer(
            script="evidently_drift.py",
            packages=("evidently==0.7.*", "pandas<3", "pyarrow"),
            arguments=_files,
        ),
    },
    floors=2,
    ahead={"NannyML, scoring": 10, "Evidently": 400},
)
