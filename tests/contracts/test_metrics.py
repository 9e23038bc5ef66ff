"""Every metric keeps the contract of metrics."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from treadle.core import plugins
from treadle.testing import metrics


@pytest.mark.parametrize("name", plugins.available("metric"))
@pytest.mark.parametrize("check", metrics.CHECKS, ids=lambda check: check.__name__)
def test_metric(name: str, check: Callable[[ModuleType], None]) -> None:
    check(plugins.load("metric", name))
