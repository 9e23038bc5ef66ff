"""A process that ingests and is killed: at a named step, or whenever its parent likes.

Arguments: the project's folder, and optionally the number of the step (a commit to a table, before and after; the
ledger's transaction, before and after) at which it kills itself.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from treadle.core.clock import SystemClock
from treadle.data.contracts import Column, Contract
from treadle.data.datasets import Dataset, Datasets, Outcomes
from treadle.data.sources.files import Files
from treadle.data.splits import HashSplit
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables


class Row(Contract):
    id: str
    at: datetime
    n: int = Column(ge=0)


class Truth(Contract):
    id: str
    known: datetime
    late: bool


DATASET = Dataset(
    "d",
    source=Files("in/*.csv"),
    contract=Row,
    key="id",
    time="at",
    split=HashSplit(),
    outcomes=Outcomes(source=Files("truth/*.csv"), columns=["late"], contract=Truth, arrived="known"),
)


class Step:
    """Counts steps, and kills the process at one of them."""

    def __init__(self, last: int | None) -> None:
        self.last = last
        self.number = 0

    def __call__(self) -> None:
        self.number += 1
        if self.number == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


class KilledTables(Tables):
    step: Step

    def append(self, *args, **options):
        self.step()
        version = super().append(*args, **options)
        self.step()
        return version


class KilledLedger(Ledger):
    step: Step

    @contextmanager
    def write(self):
        self.step()
        with super().write() as connection:
            yield connection
            self.step()
        self.step()


def service(root: Path, *, last: int | None = None) -> tuple[Datasets, Step]:
    step = Step(None)
    ledger = KilledLedger.open("sqlite:///ledger.db", root=root)
    tables = KilledTables.open("tables", root=root, options={})
    ledger.step = tables.step = step
    step.last = last
    return Datasets(ledger=ledger, tables=tables, clock=SystemClock(), root=root), step


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    datasets, _ = service(folder, last=int(sys.argv[2]) if len(sys.argv) > 2 else None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    datasets.ingest(DATASET)
