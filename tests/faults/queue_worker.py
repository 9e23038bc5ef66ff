"""A worker that takes messages and writes each one's effect down by its id, in a file of its own; it is killed by the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from treadle.core.errors import LeaseLost, StoreUnavailable
from treadle.store.queue.queue import Queue


def main(root: Path, url: str, lease: float, poison: str) -> None:
    queue = Queue.open(url, root=root, lease=lease, crashes=int(os.environ.get("CRASHES", "3")), timeout=5.0)
    effects = root / "effects"
    while True:
        try:
            for message in queue.take(1, wait=0.5):
                if message.id == poison:
                    os.kill(os.getpid(), 9)
                # The effect is keyed by the message's id: who does it again finds it done.
                try:
                    os.close(os.open(effects / message.id, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                except FileExistsError:
                    os.close(os.open(root / "again" / message.id, os.O_CREAT | os.O_WRONLY))
                queue.acknowledge(message)
        except (StoreUnavailable, LeaseLost):
            continue


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4])
