"""What a run ran with: Python, platform and installed packages, as one object."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata
from typing import Any

from treadle.core.ids import canonical
from treadle.store.objects.objects import Objects


@cache
def describe() -> dict[str, Any]:
    """Return Python's version, the platform, and the version of each installed package, by name."""
    packages: dict[str, str] = {}
    for found in metadata.distributions():
        name = found.metadata["Name"]
        if name:
            packages.setdefault(name.lower().replace("_", "-"), found.version)
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "packages": dict(sorted(packages.items())),
    }


def store(objects: Objects) -> str:
    """Store the description of this environment as JSON and return its digest."""
    return objects.put(canonical(describe()))
