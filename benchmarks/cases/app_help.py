"""CPU of `treadle --help`, against a Python that does nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from harness import Benchmark, cpu_of_command

#: What the installed script does.
TREADLE = "from treadle.app.cli.main import main; main(['--help'])"


def prepare(folder: Path, quick: bool) -> int:
    """Say how many times a sample runs the command."""
    return 2 if quick else 10


def ours(times: int) -> float:
    """Ask for the help."""
    return cpu_of_command([sys.executable, "-c", TREADLE], times=times)


def floor(times: int) -> float:
    """Start and end Python."""
    return cpu_of_command([sys.executable, "-c", "pass"], times=times)


BENCHMARK = Benchmark(
    title="the command line's help, from start to end",
    unit="s of CPU",
    prepare=prepare,
    ours=ours,
    floor=floor,
    limit=0.3,
)
