"""Baselines: the simple things that a model must beat; one file each. `td.baselines.Prior` is found in `prior.py`.

A baseline is a class named like its file, with `name`, `spec()` and `fit(frame, target)`, which gives a
`core.records.Lookup`.
"""

from __future__ import annotations

from typing import Any

from treadle.core import plugins


def __getattr__(name: str) -> Any:
    return plugins.public_class("baseline", name)
