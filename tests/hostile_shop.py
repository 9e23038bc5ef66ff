"""A project for bad input and faults: visits land, and a model says who buys."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HEADER = "visit,seen,pages,bought"


PROJECT = '''
import os
import signal
import time
from datetime import datetime
from pathlib import Path

import treadle as td

HERE = Path(__file__).parent


class Visit(td.Contract):
    """A visit to the shop."""

    visit: str
    seen: datetime
    pages: int
    bought: bool


visits = td.Dataset(
    "visits", source=td.Files("landing/*"), contract=Visit, key="visit", time="seen", outcome="bought",
    split=td.HashSplit(),
)


@td.model(data=visits, target="bought", inputs=["pages"], task=td.Classification(),
          policy=td.Policy(triggers=[td.NewRows(1)], cooldown="0s"))
def buys(data, params, run):
    from sklearn.linear_model import LogisticRegression

    print("training begins", flush=True)
    mood = (HERE / "mood").read_text() if (HERE / "mood").is_file() else ""
    if mood == "raises":
        raise ZeroDivisionError("the moon is \\x1b[31mred")
    if mood == "exits":
        os._exit(0)
    if mood == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mood == "hangs":
        time.sleep(600)
    return LogisticRegression().fit(data.train.X, data.train.y)
'''


def visits(first: int, count: int) -> list[str]:
    """Rows of visits: the more pages, the likelier something is bought."""
    dice = random.Random(first)
    rows = []
    for number in range(first, first + count):
        pages = dice.randint(0, 30)
        bought = str(pages + dice.gauss(0, 5) > 15).lower()
        rows.append(f"v{number},2024-01-{1 + number % 28:02}T10:00:00Z,{pages},{bought}")
    return rows


def land(root: Path, name: str, *lines: str) -> None:
    (root / "landing").mkdir(exist_ok=True)
    (root / "landing" / name).write_text("\n".join([HEADER, *lines]) + "\n")


@contextmanager
def begun(root: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process of its own, as a terminal would; what it says goes to `said.txt`."""
    whole = [sys.executable, "-m", "treadle.app.cli.main", *command, "-C", str(root)]
    with (root / "said.txt").open("wb") as said:
        process = subprocess.Popen(whole, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
