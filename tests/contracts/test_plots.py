"""Every plot keeps the contract of plots."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from treadle.core import plugins
from treadle.testing import plots


@pytest.mark.parametrize("name", plugins.available("plot"))
@pytest.mark.parametrize("check", plots.CHECKS, ids=lambda check: check.__name__)
def test_plot(name: str, check: Callable[[ModuleType], None]) -> None:
    check(plugins.load("plot", name))
