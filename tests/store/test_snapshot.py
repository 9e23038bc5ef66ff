"""A snapshot of the ledger is one state, whatever is written meanwhile, for the thread that took it."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import func, select

from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger


def count(ledger: Ledger) -> int:
    with ledger.read() as connection:
        return int(connection.execute(select(func.count()).select_from(t.datasets)).scalar_one())


def write(ledger: Ledger, name: str) -> None:
    with ledger.write() as connection:
        connection.execute(t.datasets.insert().values(name=name, body="{}"))


def test_a_snapshot_stays_what_it_was(tmp_path: Path) -> None:
    with Ledger.open("sqlite:///ledger.db", root=tmp_path) as ledger:
        write(ledger, "a")
        seen, elsewhere = [], []
        with ledger.snapshot():
            seen.append(count(ledger))
            other = threading.Thread(target=lambda: (write(ledger, "b"), elsewhere.append(count(ledger))))
            other.start()
            other.join()
            seen.append(count(ledger))
            with ledger.snapshot():
                seen.append(count(ledger))
        after = count(ledger)

    assert (seen, elsewhere, after) == ([1, 1, 1], [2], 2)
