"""Every channel keeps the contract of channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from treadle.core import plugins
from treadle.testing import channels
from treadle.testing.channels import Build

#: Arguments that keep the tests short, for channels that wait between tries.
SHORT: dict[str, dict[str, Any]] = {"webhook": {"timeout": 0.1, "tries": 2, "pause": 0.0}}


@pytest.mark.parametrize("name", plugins.available("channel"))
@pytest.mark.parametrize("check", channels.CHECKS, ids=lambda check: check.__name__)
def test_channel(name: str, check: Callable[[Build], None]) -> None:
    channel = plugins.load("channel", name).Channel

    check(lambda url: channel(url, **SHORT.get(name, {})))
