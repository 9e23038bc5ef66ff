"""Every baseline keeps the contract of baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields

import pytest

from treadle.core import plugins
from treadle.evaluation.baseline import Baseline
from treadle.testing import baselines


@pytest.mark.parametrize("name", plugins.available("baseline"))
@pytest.mark.parametrize("check", baselines.CHECKS, ids=lambda check: check.__name__)
def test_baseline(name: str, check: Callable[[Baseline], None]) -> None:
    made = plugins.public_class("baseline", "".join(part.capitalize() for part in name.split("_")))
    told = {"column": "share"}
    needed = {field.name: told.get(field.name, 0.25) for field in fields(made) if field.default is MISSING}
    columns = {"by": "carrier"} if "by" in made.__dataclass_fields__ else {}

    check(made(**needed, **columns))


@pytest.mark.parametrize("check", baselines.CHECKS, ids=lambda check: check.__name__)
def test_baseline_without_columns(check: Callable[[Baseline], None]) -> None:
    check(plugins.public_class("baseline", "Prior")())
