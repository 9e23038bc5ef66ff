"""Whether models are due: gathers the facts, lets the policy decide, and remembers what it said and why."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from treadle.core.errors import NotFound
from treadle.core.ids import new_id
from treadle.core.records import Decision, Run, from_json, to_json
from treadle.loop.facts import Facts
from treadle.loop.models import Model
from treadle.loop.rooms import Rooms
from treadle.store.ledger import tables as t


class Decisions:
    """Decides for models, on what is true now."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def facts(self, model: Model) -> Facts:
        """Return what the policy may know now."""
        rooms = self._rooms
        # What was imported has read no rows: the model is as due as it was.
        runs = [run for run in rooms.runs.list(model=model.name, limit=50) if run.origin is None]
        ended = [run for run in runs if run.status != "running"]
        failures = next((i for i, run in enumerate(ended) if run.status != "failed"), len(ended))
        last = next((run for run in ended if run.status != "failed"), None)
        champion = rooms.models.aliases(model.name).get("champion")
        return Facts(
            model=model.name,
            now=rooms.clock.now(),
            rows=self._rows(model.data.name, None),
            rows_at_last_run=self._rows_of(last, model.data.name),
            last_run=last.started_at if last else None,
            last_attempt=ended[0].started_at if ended else None,
            failures=failures,
            champion_since=rooms.models.get(f"{model.name}/{champion}").created_at if champion else None,
        )

    def decide(self, model: Model) -> Decision:
        """Say whether a model is due now; nothing is written."""
        return model.policy.decide(self.facts(model))

    def record(self, decision: Decision) -> bool:
        """Keep a decision, unless it says what the newest kept one says; return whether it was kept."""
        newest = next(iter(self.list(decision.model, limit=1)), None)
        if newest is not None and not decision.due and _gist(newest) == _gist(decision):
            return False
        with self._rooms.ledger.write() as connection:
            self.save(decision, connection)
        return True

    def save(self, decision: Decision, connection: Connection) -> None:
        """Keep a decision inside the caller's transaction."""
        # The newest must stay the newest whatever the clock does, or one more is kept at every tick.
        newest = connection.execute(select(func.max(t.decisions.c.id))).scalar() or ""
        values = {
            "id": new_id("dec", after=newest),
            "model": decision.model,
            "at": t.micros(decision.at),
            "due": decision.due,
        }
        connection.execute(insert(t.decisions).values(**values, body=to_json(decision)))

    def list(self, model: str, *, limit: int = 100, until: datetime | None = None) -> list[Decision]:
        """Return kept decisions, newest first."""
        wanted = select(t.decisions.c.body).where(t.decisions.c.model == model)
        if until is not None:
            wanted = wanted.where(t.decisions.c.at <= t.micros(until))
        with self._rooms.ledger.read() as connection:
            found = connection.execute(wanted.order_by(t.decisions.c.id.desc()).limit(limit)).scalars().all()
        return [from_json(body, Decision) for body in found]

    def _rows_of(self, run: Run | None, dataset: str) -> int:
        read = run.data.get(dataset) if run else None
        return 0 if read is None else self._rows(dataset, read)

    def _rows(self, dataset: str, version: int | None) -> int:
        try:
            return self._rooms.datasets.version(dataset, version).outcomes_known
        except NotFound:
            return 0


def _gist(decision: Decision) -> tuple[bool, tuple[str, ...]]:
    """What a decision says without its numbers, so that a tick in which only they moved writes nothing."""
    return decision.due, tuple(
        "".join(c for c in text if not c.isdigit() and c not in ",.:- ") for text in decision.details
    )
