"""One of many processes that append to, correct, read and collect one dataset until they are killed or time is up.

Arguments: the project's folder, the URL of the tables, a name of its own, seconds. What was acknowledged goes to
`acked/<name>`, one JSON line each, flushed to the disk: `["row", key, changed]` once a row is in the dataset, and
`["version", number, digest]` once a version has been read.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from datetime import timedelta
from pathlib import Path

from treadle.core.clock import SystemClock
from treadle.core.errors import Busy, Conflict, StoreUnavailable
from treadle.core.settings import aws_options
from treadle.data import upkeep, writing
from treadle.data.contracts import Contract
from treadle.data.datasets import Dataset, Datasets
from treadle.data.sources.files import Files
from treadle.data.splits import HashSplit
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables

# So that files are joined and removed all the time. Whoever chose what to keep must have had his turn within the grace.
writing.COMPACT_EVERY = 5
upkeep.GRACE = timedelta(seconds=max(20, float(os.environ.get("TREADLE_TEST_CROWD_SECONDS", "0")) / 3))


class Row(Contract):
    key: str
    changed: int
    value: int


DATASET = Dataset(
    "d", source=Files("in/*.csv"), contract=Row, key="key", updated="changed", split=HashSplit()
)


def service(root: Path, tables: str) -> tuple[Datasets, Ledger]:
    ledger = Ledger.open("sqlite:///ledger.db", root=root, timeout=60)
    opened = Tables.open(tables, root=root, options=aws_options())
    return Datasets(ledger=ledger, tables=opened, clock=SystemClock(), root=root), ledger


def digest_of(datasets: Datasets, version: int) -> str:
    rows = datasets.read("d", version=version, columns=["key", "changed", "value", "_split"]).sort("key")
    return hashlib.sha256(rows.write_csv().encode()).hexdigest()[:16]


def main(root: Path, tables: str, name: str, seconds: float) -> None:
    chance, end = random.Random(name), time.monotonic() + seconds
    datasets, _ = service(root, tables)
    mine: dict[str, int] = {}
    with (root / "acked" / name).open("a") as acked:

        def ack(*what: object) -> None:
            acked.write(json.dumps(what) + "\n")
            acked.flush()
            os.fsync(acked.fileno())

        count = 0
        while time.monotonic() < end:
            deed = chance.random()
            try:
                if deed < 0.6 or not mine:
                    count += 1
                    known = chance.sample(sorted(mine), k=min(len(mine), 3)) if deed < 0.3 else []
                    rows = {key: mine[key] + 1 for key in known}
                    rows |= {f"{name}-{count}-{i}": 1 for i in range(5)}
                    shared = {f"shared-{chance.randrange(5)}": time.time_ns()}  # all correct the same rows
                    lines = [
                        f"{key},{changed},{chance.randrange(100)}" for key, changed in (rows | shared).items()
                    ]
                    part = root / "in" / f".{name}-{count}"
                    part.write_text("\n".join(["key,changed,value", *lines]) + "\n")
                    part.rename(root / "in" / f"{name}-{count:05}.csv")
                    mine |= rows
                    datasets.ingest(DATASET)
                    for key, changed in (rows | shared).items():
                        ack("row", key, changed)
                elif deed < 0.9:
                    version = chance.randint(1, datasets.version("d").version)
                    ack("version", version, digest_of(datasets, version))
                else:
                    versions = range(1, datasets.version("d").version + 1)
                    datasets.collect("d", keep=versions, dry_run=False)
            except (Busy, Conflict, StoreUnavailable) as error:
                ack("error", type(error).__name__, str(error)[:200])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
