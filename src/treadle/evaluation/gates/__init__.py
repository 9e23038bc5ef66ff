"""Gates: checks that a candidate must pass before it is released; one file each. `td.gates.Beats` is found in `beats.py`.

A gate is a class named like its file, with `name`, `spec()` and `judge(case)`; see `treadle.evaluation.gate`.
"""

from __future__ import annotations

from typing import Any

from treadle.core import plugins


def __getattr__(name: str) -> Any:
    return plugins.public_class("gate", name)
