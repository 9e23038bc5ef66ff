"""Every detector keeps the contract of detectors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treadle.core import plugins
from treadle.monitoring.detector import Detector
from treadle.testing import detectors


@pytest.mark.parametrize("name", plugins.available("detector"))
@pytest.mark.parametrize("check", detectors.CHECKS, ids=lambda check: check.__name__)
def test_detector(name: str, check: Callable[[Detector], None]) -> None:
    check(plugins.load("detector", name).Detector())
