"""CPU of listing many files that are all known, against asking the operating system for the state of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import treadle as td
from harness import Benchmark, cpu_of

FOLDERS = 100


@dataclass
class Input:
    """A folder with files in a hundred folders."""

    root: Path
    files: int


def prepare(folder: Path, quick: bool) -> Input:
    """Make 100,000 files of one line."""
    each = 20 if quick else 1_000
    for number in range(FOLDERS):
        day = folder / "landing" / f"{number:03}"
        day.mkdir(parents=True)
        for part in range(each):
            (day / f"{part:04}.jsonl").write_text('{"id": 1}\n')
    return Input(folder, FOLDERS * each)


def ours(given: Input) -> float:
    """List them with a stamp for each, sorted."""

    def work() -> None:
        assert len(td.Files("landing/**/*.jsonl").listing(given.root)) == given.files

    return cpu_of(work)


def floor(given: Input) -> float:
    """Walk and ask for the state of each."""

    def work() -> None:
        states = [
            os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118
            for folder, _, names in os.walk(given.root / "landing")
            for name in names
        ]
        assert len(states) == given.files

    return cpu_of(work)


BENCHMARK = Benchmark(
    title="100,000 files are listed, none of them opened",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    floors=2,
)
