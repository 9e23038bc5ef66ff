"""Promises (SLOs), one kind a file; `td.slos.Availability` is found in `availability.py`.

A kind is a class named like its file, derived from `treadle.monitoring.slo.SLO`.
"""

from __future__ import annotations

from typing import Any

from treadle.core import plugins


def __getattr__(name: str) -> Any:
    return plugins.public_class("slo", name)
