"""The version becomes the champion and answers from now on."""

from __future__ import annotations

from treadle.loop import promotions
from treadle.loop.releases import Release


def apply(release: Release) -> str:
    """Promote the version inside the run's own transaction."""
    version = release.version
    promotions.promote(
        release.rooms, version, actor=release.actor, reason=release.reason, connection=release.connection
    )
    return f"version {version.version} is the champion and answers at endpoint {version.model!r}"
