"""CPU of checking rows against a contract, quarantine included, against Polars expressions written by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

import departures
from harness import Benchmark, Peer, cpu_of


@dataclass
class Input:
    """The rows, also as a file for the peers."""

    file: Path
    frame: pl.DataFrame


def prepare(folder: Path, quick: bool) -> Input:
    """Make 10,000,000 rows of 20 columns, of which one in a thousand is bad."""
    frame = departures.make(100_000 if quick else departures.ROWS)
    file = folder / "departures.parquet"
    frame.write_parquet(file)
    return Input(file, frame)


def ours(given: Input) -> float:
    """Check the rows, and divide them into good ones and quarantined ones."""
    return cpu_of(lambda: departures.ours(given.frame))


def floor(given: Input) -> float:
    """Do the same with expressions for these rows only."""
    return cpu_of(lambda: departures.by_hand(given.frame))


def _peer(script: str, *packages: str) -> Peer:
    return Peer(script=script, packages=packages, arguments=lambda given: [str(given.file)])


BENCHMARK = Benchmark(
    title="10,000,000 rows of 20 columns meet a contract or go to quarantine with the reason",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    peers={
        "dataframely": _peer("dataframely_contract.py", "dataframely", "polars"),
        "pandera": _peer("pandera_contract.py", "pandera[polars]"),
    },
    floors=1.5,
)
