"""Every task keeps the contract of tasks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treadle.core import plugins
from treadle.testing import tasks
from treadle.training.task import Task


@pytest.mark.parametrize("name", plugins.available("task"))
@pytest.mark.parametrize("check", tasks.CHECKS, ids=lambda check: check.__name__)
def test_task(name: str, check: Callable[[Task], None]) -> None:
    task = plugins.public_class("task", name.title().replace("_", ""))()

    check(task)

    assert task.name == name
