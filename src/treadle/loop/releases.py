"""What an action is told when a version has passed its gates."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from treadle.core.records import ModelVersion, Run
from treadle.loop.rooms import Rooms


@dataclass(frozen=True)
class Release:
    """A version that passed, the run that made it, and the transaction in which all of it becomes true."""

    rooms: Rooms
    run: Run
    version: ModelVersion
    connection: Connection
    #: Why, for the histories: the verdicts' sentences, or what the person said who approved.
    reason: str
    #: The person who approved; empty: nobody was asked.
    approved_by: str = ""

    @property
    def actor(self) -> str:
        """Who lets this happen: a person, or the run itself."""
        return self.approved_by or self.run.id
