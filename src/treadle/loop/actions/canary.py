"""The version gets its traffic step by step, as the policy's plan says, and loses it where a guard says no."""

from __future__ import annotations

from treadle.loop import promotions, rollout_actions
from treadle.loop.releases import Release
from treadle.loop.rolling import declared


def apply(release: Release) -> str:
    """Start the rollout inside the run's own transaction; the very first version answers at once."""
    rooms, version = release.rooms, release.version
    if not rollout_actions.answers(release):
        promotions.promote(
            rooms, version, actor=release.actor, reason=release.reason, connection=release.connection
        )
        return f"version {version.version} is the first one, and answers at endpoint {version.model!r}"
    return rollout_actions.begin(release, declared(rooms, version.model))
