"""Every gate keeps the contract of gates."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treadle.core import plugins
from treadle.evaluation.gate import Gate
from treadle.testing import gates


@pytest.mark.parametrize("reference", ["champion", "baseline", "baseline:prior"])
@pytest.mark.parametrize("name", plugins.available("gate"))
@pytest.mark.parametrize("check", gates.CHECKS, ids=lambda check: check.__name__)
def test_gate(name: str, check: Callable[[Gate], None], reference: str) -> None:
    made = plugins.public_class("gate", "".join(part.capitalize() for part in name.split("_")))

    check(getattr(made, "example", made)(reference))
