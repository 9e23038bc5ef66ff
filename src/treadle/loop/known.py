"""What the ledger says of models now, as far as policies and alerts ask for it: asked for one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import select

from treadle.core.errors import NotFound
from treadle.core.records import DatasetVersion, Decision, ModelVersion, Run, from_json
from treadle.data.state import read_all_problems
from treadle.loop.approvals import Approval, Approvals
from treadle.loop.facts import Request
from treadle.loop.requests import Requests
from treadle.loop.rooms import Rooms
from treadle.store.ledger import tables as t

#: Runs that are looked back at: more failures in a row change nothing.
LOOKED_BACK = 50


class Known(Protocol):
    """What can be known of models; nothing is written."""

    def runs(self, model: str) -> Sequence[Run]:
        """Return the newest 50 runs, newest first."""
        ...

    def runs_since(self, model: str, moment: datetime) -> Sequence[Run]:
        """Return the runs that were started after a moment, oldest first."""
        ...

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that answers; None: there is none."""
        ...

    def dataset(self, name: str, version: int | None = None) -> DatasetVersion | None:
        """Return a version of a dataset, by default the newest; None: there is none such."""
        ...

    def between(self, name: str, after: int, upto: int) -> Sequence[DatasetVersion]:
        """Return the versions of a dataset after one and up to another, oldest first."""
        ...

    def problems(self, name: str) -> Sequence[tuple[str, datetime]]:
        """Return the present problems with files of a dataset, reason and moment, oldest first."""
        ...

    def requests(self, model: str) -> Sequence[Request]:
        """Return what was asked for and nothing was done about yet, oldest first."""
        ...

    def approvals(self, model: str) -> Sequence[Approval]:
        """Return what waits for a person, oldest first."""
        ...

    def decision(self, model: str) -> Decision | None:
        """Return the newest kept decision; None: there is none."""
        ...


class Asked:
    """Asks the ledger each time: what is true at that moment."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def runs(self, model: str) -> Sequence[Run]:
        """Return the newest 50 runs, newest first."""
        return self._rooms.runs.list(model=model, limit=LOOKED_BACK)

    def runs_since(self, model: str, moment: datetime) -> Sequence[Run]:
        """Return the runs that were started after a moment, oldest first."""
        wanted = select(t.runs.c.body).where(t.runs.c.model == model, t.runs.c.started_at > t.micros(moment))
        with self._rooms.ledger.read() as connection:
            bodies = connection.execute(wanted.order_by(t.runs.c.id)).scalars().all()
        return [from_json(body, Run) for body in bodies]

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that answers; None: there is none."""
        number = self._rooms.models.aliases(model).get("champion")
        return None if number is None else self._rooms.models.get(f"{model}/{number}")

    def dataset(self, name: str, version: int | None = None) -> DatasetVersion | None:
        """Return a version of a dataset, by default the newest; None: there is none such."""
        try:
            return None if version == 0 else self._rooms.datasets.version(name, version)
        except NotFound:
            return None

    def between(self, name: str, after: int, upto: int) -> Sequence[DatasetVersion]:
        """Return the versions of a dataset after one and up to another, oldest first."""
        return [one for one in self._rooms.datasets.versions(name, after=after) if one.version <= upto]

    def problems(self, name: str) -> Sequence[tuple[str, datetime]]:
        """Return the present problems with files of a dataset, reason and moment, oldest first."""
        with self._rooms.ledger.read() as connection:
            return read_all_problems(connection).get(name, [])

    def requests(self, model: str) -> Sequence[Request]:
        """Return what was asked for and nothing was done about yet, oldest first."""
        return Requests(self._rooms).waiting(model)

    def approvals(self, model: str) -> Sequence[Approval]:
        """Return what waits for a person, oldest first."""
        return Approvals(self._rooms).list(model, state="waiting")

    def decision(self, model: str) -> Decision | None:
        """Return the newest kept decision; None: there is none."""
        newest = select(t.decisions.c.body).where(t.decisions.c.model == model)
        with self._rooms.ledger.read() as connection:
            body = connection.execute(newest.order_by(t.decisions.c.id.desc()).limit(1)).scalar()
        return None if body is None else from_json(body, Decision)
