"""Profiles of dataset versions that are kept once they were made: a version never changes, so neither does its profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from treadle.core.records import from_json, to_json
from treadle.data.profiles.versions import Profile
from treadle.store.files import replacing

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

_CACHE = Path(".treadle", "cache", "profiles")


def profiled(workspace: Workspace, dataset: str, version: int, *, make: bool = True) -> Profile | None:
    """Return the profile of a version: the one that is kept, or a new one, which is kept then; None: `make` is False and none is.

    Raises:
        NotFound: there is no such dataset, or no such version of it, or it was collected.
    """
    import treadle

    found = workspace.datasets.version(dataset, version)
    name = f"{dataset}-{found.version}-{found.created_at:%Y%m%dT%H%M%S%f}-{treadle.__version__.replace('-', '_')}.json"
    path = workspace.root / _CACHE / name
    try:
        return from_json(path.read_bytes(), Profile)
    except (FileNotFoundError, msgspec.DecodeError):  # none is kept, or one that a full disk cut off
        if not make:
            return None
    made = workspace.datasets.profile(dataset, version=version)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(to_json(made).encode())
    return made


def forget_profiles(workspace: Workspace, dataset: str) -> None:
    """Remove the kept profiles of a dataset: they have values of its rows."""
    for path in (workspace.root / _CACHE).glob("*.json"):
        if path.name.rsplit("-", 3)[0] == dataset:
            path.unlink(missing_ok=True)
