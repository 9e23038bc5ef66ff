"""The programs whose power is cut, by the name of their store.

Started as a program with a folder and names of stores, it lets each work in `<folder>/<store>/disk`, in one process, and
appends a line to `<folder>/<store>/acked` each time a step has returned.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from room_writers import DatasetWriter, LogWriter, TreesWriter
from store_writers import (
    BrokenObjectsWriter,
    DeliveryWriter,
    LedgerWriter,
    ObjectsWriter,
    OnlineWriter,
    QueueWriter,
    TableWriter,
)
from writer import Writer

WRITERS: dict[str, Writer] = {
    "objects": ObjectsWriter(),
    "trees": TreesWriter(),
    "online": OnlineWriter(),
    "table": TableWriter(),
    "delivery": DeliveryWriter(),
    "log": LogWriter(),
    "queue": QueueWriter(),
    "ledger": LedgerWriter(),
    "dataset": DatasetWriter(),
    "broken": BrokenObjectsWriter(),
}


def main(folder: Path, *names: str) -> None:
    """Let each of some writers do all its steps."""
    for name in names:
        (folder / name / "disk").mkdir(parents=True)
        told = os.open(folder / name / "acked", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        for each in WRITERS[name].steps(folder / name / "disk"):
            os.write(told, json.dumps(each).encode() + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
