"""Every compute engine keeps the contract of engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from treadle.core import plugins
from treadle.testing import compute
from treadle.training.jobs import Engine

#: Those whose checks run where a cluster is there already: `tests/loop/test_ray.py`.
ELSEWHERE = {"ray"}


@pytest.mark.parametrize("name", sorted(set(plugins.available("compute")) - ELSEWHERE))
@pytest.mark.parametrize("check", compute.CHECKS, ids=lambda check: check.__name__)
def test_engine(name: str, check: Callable[[Engine, Path], None], tmp_path: Path) -> None:
    engine = plugins.load("compute", name).Engine()
    try:
        check(engine, tmp_path)
    finally:
        engine.close()
