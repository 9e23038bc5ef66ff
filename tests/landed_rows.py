"""A small dataset whose rows a test lands."""

from __future__ import annotations

from datetime import UTC, datetime

from treadle.data.contracts import Column, Contract
from treadle.data.datasets import Dataset, Outcomes
from treadle.data.sources.files import Files
from treadle.data.splits import HashSplit

HEAD = "id,at,n\n"


class Row(Contract):
    id: str
    at: datetime
    n: int | None = Column(ge=0)


class Truth(Contract):
    id: str
    known: datetime
    late: bool
    note: str | None


def dataset(**options):
    return Dataset(
        "d",
        **{"source": Files("in/*"), "contract": Row, "key": "id", "time": "at", "split": HashSplit()}
        | options,
    )


def with_outcomes(**options):
    return dataset(
        outcomes=Outcomes(source=Files("truth/*"), columns=["late"], contract=Truth, arrived="known"),
        **options,
    )


def line(key, n=0, day=1):
    return f"{key},2013-01-{day:02}T00:00:00Z,{n}\n"


def day(number):
    return datetime(2013, 1, number, tzinfo=UTC)


def writes(tmp_path):
    """What an ingestion that writes would change: the state of the ledger's file and its log."""
    return sorted((path.name, path.stat().st_mtime_ns) for path in tmp_path.glob("ledger.db*"))
