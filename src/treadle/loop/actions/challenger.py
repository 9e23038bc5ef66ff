"""The version gets the alias `challenger` and no traffic."""

from __future__ import annotations

from treadle.loop.releases import Release

ALIAS = "challenger"


def apply(release: Release) -> str:
    """Move the alias; who answers stays as it is."""
    version = release.version
    release.rooms.models.alias(
        version.model,
        ALIAS,
        version.version,
        actor=release.actor,
        reason=release.reason,
        connection=release.connection,
    )
    return f"version {version.version} is the challenger; promote it with: treadle models promote {version.model}/{version.version}"
