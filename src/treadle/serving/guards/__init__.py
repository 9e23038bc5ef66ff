"""Guards: checks that roll a challenger back; one file each. `td.guards.Errors` is found in `errors.py`.

A guard is a class named like its file, with `name`, `needs`, `spec()` and `judge(case)`; see `treadle.serving.guard`.
"""

from __future__ import annotations

from typing import Any

from treadle.core import plugins


def __getattr__(name: str) -> Any:
    return plugins.public_class("guard", name)
