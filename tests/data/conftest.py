"""Fixtures of this room: a project folder with a service on SQLite and a folder, quick enough for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from treadle.core.clock import ManualClock
from treadle.data.admission import Admission
from treadle.data.datasets import Datasets
from treadle.data.tags import Tags
from treadle.store.ledger.ledger import Ledger
from treadle.store.tables.tables import Tables

Land = Callable[[str, str], Path]


@pytest.fixture
def datasets(tmp_path: Path, clock: ManualClock) -> Iterator[Datasets]:
    """The service over an empty project in `tmp_path`."""
    ledger = Ledger.open("sqlite:///ledger.db", root=tmp_path)
    tables = Tables.open("tables", root=tmp_path, options={})
    yield Datasets(ledger=ledger, tables=tables, clock=clock, root=tmp_path)
    ledger.close()


@pytest.fixture
def tags(tmp_path: Path, clock: ManualClock) -> Iterator[Tags]:
    """The tags of the same project."""
    with Ledger.open("sqlite:///ledger.db", root=tmp_path) as ledger:
        yield Tags(ledger=ledger, clock=clock)


@pytest.fixture
def admission(tmp_path: Path, clock: ManualClock) -> Iterator[Admission]:
    """The way out of quarantine of the same project."""
    tables = Tables.open("tables", root=tmp_path, options={})
    with Ledger.open("sqlite:///ledger.db", root=tmp_path) as ledger:
        yield Admission(ledger=ledger, tables=tables, clock=clock, root=tmp_path)


@pytest.fixture
def land(tmp_path: Path) -> Land:
    """Write a file of the project, in one step."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}")
        fresh.write_text(text)
        return fresh.replace(path)

    return write
