"""Rules about the new rows of a dataset as a whole; one file each. `td.rules.Nulls` is found in `nulls.py`.

A rule is a class named like its file, with `name`, `severity`, `columns`, `spec()`, `check(new, facts)` and `example()`; see
`treadle.data.dataset_rules`.
"""

from __future__ import annotations

from typing import Any

from treadle.core import plugins


def __getattr__(name: str) -> Any:
    return plugins.public_class("rule", name)
