"""A large batch: the memory of its processes, and whether one that is killed again and again ends with the same digest.

    python benchmarks/large_batch.py --rows 50_000_000 --kills 4 --processes 2

It is scored twice, once left alone and once killed with -9 at random moments and asked for again. Exit status 1: the
digests differ.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent))

import project
from cases.serving_batch import rows

FILES = 20
_LOOK = 0.2


@dataclass
class Seen:
    """What was seen of one batch."""

    seconds: float = 0.0
    kills: int = 0
    digest: str = ""
    #: Most megabytes of the process that was asked, and of one that it started.
    asked: float = 0.0
    others: float = 0.0

    def look(self, pid: int) -> None:
        """Note the memory of a process and its children."""
        self.asked = max(self.asked, _peak(pid))
        for child in _children(pid):
            self.others = max(self.others, _peak(child))


def _children(pid: int) -> list[int]:
    try:
        found = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return [*found, *(deeper for child in found for deeper in _children(child))]


def _peak(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next(
        (int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0
    )


def scored(folder: Path, name: str, *, processes: int, kills: int) -> Seen:
    """Score all files into a folder, killed so many times on the way."""
    command = [sys.executable, "-m", "treadle.app.cli.main", "batch", "late", str(folder / "in-*.parquet")]
    command += ["-C", str(folder), "-o", str(folder / name), "--processes", str(processes), "--json"]
    seen, chance, begun = Seen(), random.Random(7), perf_counter()
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        done = len(list((folder / name).glob("part-*.parquet")))
        until = done + chance.randint(3, 12)
        while process.poll() is None:
            seen.look(process.pid)
            there = len(list((folder / name).glob("part-*.parquet")))
            if seen.kills < kills and there >= until:
                os.killpg(process.pid, signal.SIGKILL)
                seen.kills += 1
                break
            threading.Event().wait(_LOOK)
        said, _ = process.communicate()
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 0, said
            seen.digest, seen.seconds = json.loads(said)["digest"], perf_counter() - begun
            return seen


def main() -> int:
    """Score, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        project.make(folder, rows=20_000)
        for number in range(FILES):
            rows(asked.rows // FILES, seed=number).write_parquet(folder / f"in-{number:02}.parquet")
        found = {}
        for name, kills in (("calm", 0), ("killed", asked.kills)):
            found[name] = seen = scored(folder, name, processes=asked.processes, kills=kills)
            sys.stdout.write(
                f"{name}: {asked.rows:,} rows, {seen.seconds:.0f} s, killed {seen.kills} times, at most {seen.others:.0f} MB "
                f"a process and {seen.asked:.0f} MB in the one that starts them, {seen.digest}\n"
            )
            sys.stdout.flush()
    return 0 if found["calm"].digest == found["killed"].digest else 1


if __name__ == "__main__":
    sys.exit(main())
