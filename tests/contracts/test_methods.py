"""Every method of comparison keeps the contract of methods."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from treadle.core import plugins
from treadle.testing import methods


@pytest.mark.parametrize("name", plugins.available("method"))
@pytest.mark.parametrize("check", methods.CHECKS, ids=lambda check: check.__name__)
def test_method(name: str, check: Callable[[ModuleType], None]) -> None:
    check(plugins.load("method", name))
