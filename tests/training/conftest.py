"""Fixtures for training: a runs service over each ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from treadle.core.clock import Clock
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training.runs import Runs


@pytest.fixture
def folder_objects(tmp_path: Path) -> Objects:
    """Objects in a folder."""
    return Objects.open("objects", root=tmp_path, options={})


@pytest.fixture
def runs(ledger: Ledger, folder_objects: Objects, clock: Clock, tmp_path: Path) -> Runs:
    """Runs over each ledger, with objects in a folder."""
    return Runs(ledger=ledger, objects=folder_objects, clock=clock, root=tmp_path)
