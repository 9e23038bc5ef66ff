"""A person is told that there is a version that passed; nothing else changes."""

from __future__ import annotations

from treadle.loop.releases import Release

RULE = "candidate"


def apply(release: Release) -> str:
    """Say what passed; the corridor raises the alert after the transaction."""
    version = release.version
    return (
        f"version {version.version} of {version.model!r} passed its gates and waits for a person: "
        f"treadle models promote {version.model}/{version.version}"
    )
