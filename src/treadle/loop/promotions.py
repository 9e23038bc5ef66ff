"""Who answers: moves aliases and the endpoint's revision together, in one transaction."""

from __future__ import annotations

from sqlalchemy import Connection

from treadle.core.records import ModelVersion, Revision, Variant
from treadle.loop.rooms import Rooms

CHAMPION, PREVIOUS = "champion", "previous"


def promote(
    rooms: Rooms, version: ModelVersion, *, actor: str, reason: str, connection: Connection | None = None
) -> Revision:
    """Make a version the champion, the one before it `previous`, and let the model's endpoint answer with it."""
    if connection is None:
        with rooms.ledger.write() as own:
            return promote(rooms, version, actor=actor, reason=reason, connection=own)
    before = rooms.models.aliases(version.model, connection=connection).get(CHAMPION)
    if before is not None and before != version.version:
        rooms.models.alias(version.model, PREVIOUS, before, actor=actor, reason=reason, connection=connection)
    rooms.models.alias(
        version.model, CHAMPION, version.version, actor=actor, reason=reason, connection=connection
    )
    variant = Variant(name=CHAMPION, model=version.model, version=version.version)
    return rooms.endpoints.revise(
        version.model, [variant], actor=actor, reason=reason, expected=None, connection=connection
    )
