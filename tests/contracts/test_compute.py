"""Every compute engine keeps the contract of engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from treadle.core import plugins
from treadle.testing import compute
from treadle.training.jobs import Engine


@pytest.mark.parametrize("name", plugins.available("compute"))
@pytest.mark.parametrize("check", compute.CHECKS, ids=lambda check: check.__name__)
def test_engine(name: str, check: Callable[[Engine, Path], None], tmp_path: Path) -> None:
    check(plugins.load("compute", name).Engine(), tmp_path)
