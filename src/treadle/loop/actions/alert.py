"""A person is told that there is a version that passed; nothing else changes."""

from __future__ import annotations

from treadle.loop.releases import Release

RULE = "candidate"


def apply(release: Release) -> str:
    """Raise an alert in the run's own transaction; it is delivered when that is through."""
    version = release.version
    text = (
        f"version {version.version} of {version.model!r} passed its gates and waits for a person: "
        f"treadle models promote {version.model}/{version.version}"
    )
    release.rooms.alerts.raise_(RULE, version.ref, text, connection=release.connection)
    return text
