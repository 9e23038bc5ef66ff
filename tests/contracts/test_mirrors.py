"""Every mirror keeps the contract of mirrors, at a real tracker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mlflow_server import MlflowTracker, shared
from treadle.core import plugins
from treadle.testing import mirrors
from treadle.testing.mirrors import Tracker


@pytest.fixture
def tracker(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    """A real tracker for the mirror of this name."""
    assert name == "mlflow", "A new mirror needs a real tracker here."
    with shared(tmp_path_factory) as server:
        yield MlflowTracker(server.address)


@pytest.mark.parametrize("name", plugins.available("mirror"))
@pytest.mark.parametrize("check", mirrors.CHECKS, ids=lambda check: check.__name__)
def test_mirror(check: Callable[[Tracker], None], tracker: Tracker) -> None:
    check(tracker)
