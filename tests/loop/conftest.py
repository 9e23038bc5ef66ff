"""What the tests of the corridor share: a tiny project, and its workspace over each ledger."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from treadle.app.workspace import Workspace, open_workspace

sys.path.insert(0, str(Path(__file__).parent))

import tiny

from receiver import Receiver


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tiny project with its first 2,000 rows landed."""
    return tiny.make(tmp_path / "shop", timeout="20s")


@pytest.fixture
def opened(root: Path, ledger_url: str) -> Iterator[tiny.Opener]:
    """Opens the project's workspace over each ledger, with more overrides where they are given."""
    found: list[Workspace] = []

    def opener(clock: Any = None, **overrides: str) -> Workspace:
        settings = {"ledger.url": ledger_url, "compute.retries": "0"} | {
            key.replace("__", "."): value for key, value in overrides.items()
        }
        found.append(open_workspace(root, clock=clock, overrides=settings))
        return found[-1]

    yield opener
    for workspace in found:
        workspace.close()


@pytest.fixture
def workspace(opened: tiny.Opener) -> Workspace:
    """The project's workspace; trainings run in processes."""
    return opened()


@pytest.fixture
def inline(opened: tiny.Opener) -> Workspace:
    """The project's workspace; trainings run in this process."""
    return opened(compute__engine="inline")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of web hooks that takes everything."""
    found = Receiver()
    yield found
    found.close()
