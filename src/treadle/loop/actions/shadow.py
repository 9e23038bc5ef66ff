"""The version is asked beside the answer and does not answer, until a person decides."""

from __future__ import annotations

from dataclasses import replace

from treadle.loop import rollout_actions
from treadle.loop.actions import alert
from treadle.loop.releases import Release
from treadle.loop.rolling import declared


def apply(release: Release) -> str:
    """Start a rollout of one step, the shadow, inside the run's own transaction."""
    if not rollout_actions.answers(release):
        return alert.apply(release)
    plan = declared(release.rooms, release.version.model)
    beside = replace(plan, steps=(), shadow=plan.shadow or 1.0, promote=False)
    return rollout_actions.begin(release, beside)
