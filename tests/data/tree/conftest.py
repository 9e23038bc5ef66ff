"""Fixtures of trees: a project with one folder of files, and its service on SQLite and a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from treadle.core.clock import ManualClock
from treadle.data.trees import Tree, Trees
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.contents import Contents, open_contents

#: A moment long past, as of files that nobody is writing any more.
LONG_AGO = 1_500_000_000

Write = Callable[..., Path]


@pytest.fixture
def tree() -> Tree:
    """The folder `photos` of the project."""
    return Tree("photos", source="photos")


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    """The store of the service."""
    return open_contents("objects", root=tmp_path, options={})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger of the service."""
    with Ledger.open("sqlite:///ledger.db", root=tmp_path) as opened:
        yield opened


@pytest.fixture
def trees(tmp_path: Path, ledger: Ledger, contents: Contents, clock: ManualClock) -> Trees:
    """The service over a project in `tmp_path`."""
    return Trees(ledger=ledger, contents=contents, clock=clock, root=tmp_path, state=tmp_path / ".treadle")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file below `photos`, as if long ago."""

    def one(path: str, data: bytes | str = b"", *, at: int = LONG_AGO) -> Path:
        place = tmp_path / "photos" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_bytes(data.encode() if isinstance(data, str) else data)
        os.utime(place, (at, at))
        return place

    return one
