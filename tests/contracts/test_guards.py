"""Every guard keeps the contract of guards."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treadle.core import plugins
from treadle.serving.guard import Guard
from treadle.testing import guards


@pytest.mark.parametrize("name", plugins.available("guard"))
@pytest.mark.parametrize("check", guards.CHECKS, ids=lambda check: check.__name__)
def test_guard(name: str, check: Callable[[Guard], None]) -> None:
    kind = plugins.public_class("guard", "".join(part.capitalize() for part in name.split("_")))

    check(getattr(kind, "example", kind)())
