"""How an action starts a rollout: in the transaction of the run whose version passed."""

from __future__ import annotations

from treadle.core.errors import InvalidInput, NotFound
from treadle.loop.actions import alert, challenger
from treadle.loop.releases import Release
from treadle.serving.plan import Rollout


def answers(release: Release) -> bool:
    """Return whether the model's endpoint answers with anything yet."""
    try:
        release.rooms.endpoints.get(release.version.model, connection=release.connection)
    except NotFound:
        return False
    return True


def begin(release: Release, plan: Rollout) -> str:
    """Start it, and let the alias `challenger` point at the version; where it cannot be started a person is told."""
    version = release.version
    try:
        state = release.rooms.rollouts.start(
            version.model,
            version,
            plan,
            actor=release.actor,
            reason=release.reason,
            connection=release.connection,
        )
    except InvalidInput as error:
        return f"{error} {alert.apply(release)}"
    challenger.apply(release)
    return f"version {version.version} is being rolled out at endpoint {version.model!r}: {state.told()}"
