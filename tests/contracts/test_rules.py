"""Every dataset rule keeps the contract of rules."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treadle.core import plugins
from treadle.data.dataset_rules import Example
from treadle.testing import rules


@pytest.mark.parametrize("name", plugins.available("rule"))
@pytest.mark.parametrize("check", rules.CHECKS, ids=lambda check: check.__name__)
def test_rule(name: str, check: Callable[[Example], None]) -> None:
    made = plugins.public_class("rule", "".join(part.capitalize() for part in name.split("_")))

    check(made.example())
