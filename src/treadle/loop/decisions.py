"""Whether models are due: gathers the facts, lets the policy decide, and remembers what it said and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from treadle.core.drift import Drift, Moved
from treadle.core.errors import NotFound
from treadle.core.ids import new_id
from treadle.core.paging import USUAL, Paged
from treadle.core.records import DatasetVersion, Decision, Run, from_json, to_json
from treadle.loop.drifting import Drifting
from treadle.loop.estimating import thought
from treadle.loop.facts import DRIFT, OUTCOMES, PERFORMED, Facts
from treadle.loop.known import Asked, Known
from treadle.loop.live_loss import LiveLoss
from treadle.loop.models import Model
from treadle.loop.requests import Requests
from treadle.loop.rooms import Rooms
from treadle.loop.spending import spent
from treadle.monitoring.drift import Drift as Compared
from treadle.monitoring.drift import Finding
from treadle.store.ledger import paging
from treadle.store.ledger import tables as t

#: What a decision says beside this are words.
_NUMBERS = re.compile(r"[\d,.:\-+ ]+")


class Decisions:
    """Decides for models, on what is true now: by what is known of that, by default what the ledger answers when it is asked."""

    def __init__(self, rooms: Rooms, *, known: Known | None = None) -> None:
        self._rooms, self._live, self._requests = rooms, LiveLoss(rooms), Requests(rooms)
        self._asked = Asked(rooms)
        self._known = known or self._asked
        self._drifting = Drifting(rooms)

    def facts(self, model: Model) -> Facts:
        """Return what the policy may know now; what costs something to find out, only where a trigger asks for it."""
        known, now, needs = self._known, self._rooms.clock.now(), model.policy.needs
        # What was imported has read no rows: the model is as due as it was.
        runs = [run for run in known.runs(model.name) if run.origin is None]
        champion = known.champion(model.name)
        spans = [need.partition(" ")[2] for need in sorted(needs) if need.startswith(f"{PERFORMED} ")]
        live = {span: self._live.of(model, over=span, now=now) for span in spans}
        return Facts(
            model=model.name,
            now=now,
            **ran(runs),
            **_data(model, runs, known.dataset(model.data.name), known),
            champion_since=champion.created_at if champion else None,
            requests=tuple(known.requests(model.name)),
            drift=_drift(model, self._drifting.recent(model, version=champion)) if DRIFT in needs else None,
            performed={span: found for span, found in live.items() if found is not None},
            spent=spent(model, self._rooms, known, now=now),
        )

    def facts_at(self, model: Model, moment: datetime) -> Facts:
        """Return what the policy could know at an earlier moment, as far as the ledger still says it: counts, moments, requests."""
        rooms = self._rooms
        runs = [_as_of(run, moment) for run in rooms.runs.list(model=model.name, limit=10_000)]
        then = [run for run in runs if run is not None and run.origin is None]
        try:
            versions = rooms.datasets.versions(model.data.name)
        except NotFound:
            versions = []
        newest = max(
            (one for one in versions if one.created_at <= moment), key=lambda one: one.version, default=None
        )
        starts = {run.id: run.started_at for run in runs if run is not None}
        asked = [one for one in self._requests.list(model.name, limit=10_000) if one.at <= moment]
        return Facts(
            model=model.name,
            now=moment,
            **ran(then),
            **_data(model, then, newest, self._asked),
            requests=tuple(one for one in reversed(asked) if not one.run or one.run not in starts),
            spent=spent(model, rooms, self._asked, now=moment),
        )

    def decide(self, model: Model) -> Decision:
        """Say whether a model is due now; nothing is written."""
        return model.policy.decide(self.facts(model))

    def record(self, decision: Decision) -> bool:
        """Keep a decision, unless it says what the newest kept one says; return whether it was kept."""
        newest = self._known.decision(decision.model)
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

    def page(
        self, model: str = "", *, due: bool | None = None, after: str = "", limit: int = USUAL
    ) -> Paged[Decision]:
        """Return one part of the kept decisions, newest first: of a model or all, and only those that it was due, or was not.

        Raises:
            InvalidInput: the key of the part is not understood.
        """
        wanted = select(t.decisions.c.body)
        if model:
            wanted = wanted.where(t.decisions.c.model == model)
        if due is not None:
            wanted = wanted.where(t.decisions.c.due.is_(due))
        with self._rooms.ledger.read() as connection:
            return paging.part(connection, wanted, Decision, by=[t.decisions.c.id], after=after, limit=limit)

    def next_after(self, model: str, moment: datetime) -> datetime | None:
        """Return when another thing was decided after a moment; None: that is how it still stands."""
        chosen = (t.decisions.c.model == model) & (t.decisions.c.at > t.micros(moment))
        with self._rooms.ledger.read() as connection:
            found = connection.execute(select(func.min(t.decisions.c.at)).where(chosen)).scalar()
        return None if found is None else t.moment(found)


def _data(model: Model, runs: Sequence[Run], newest: DatasetVersion | None, known: Known) -> dict[str, Any]:
    """Return what there is to learn from now, and what of it the last run has seen."""
    last = last_of(runs)
    read = known.dataset(model.data.name, last.data.get(model.data.name, 0)) if last else None
    return {
        "rows": newest.outcomes_known if newest else 0,
        "rows_at_last_run": read.outcomes_known if read else 0,
        "contract": newest.contract if newest else "",
        "contract_at_last_run": read.contract if read else "",
        "new_outcomes": _outcomes(model, read, newest, known) if OUTCOMES in model.policy.needs else 0,
    }


def _outcomes(model: Model, read: DatasetVersion | None, newest: DatasetVersion | None, known: Known) -> int:
    """Return how many outcomes became known or were corrected between two versions."""
    if newest is None:
        return 0
    found = known.between(model.data.name, read.version if read else 0, newest.version)
    # Where the outcome is a column of the row, a corrected row is what a corrected outcome is elsewhere.
    in_row = model.data.outcome is not None
    return sum(one.outcomes + one.outcomes_corrected + (one.corrected if in_row else 0) for one in found)


def _drift(model: Model, found: Compared | None) -> Drift | None:
    """Return a comparison as policies take it; None: nothing could be compared."""
    if found is None:
        return None
    number = int(found.version.rpartition("/")[2])
    drifting, said = bool(found.drifted), found.text.rstrip(".")
    return Drift(
        model=model.name,
        version=number,
        at=found.at,
        drifting=drifting,
        reason=said,
        rows=found.rows,
        moved=tuple(
            Moved(column=one.column, detector=one.detector, effect=one.effect, text=_moved(one))
            for one in found.drifted
        ),
        estimate=thought(found.estimates, model.task.metric),
    )


def _moved(found: Finding) -> str:
    since = f", since {found.since:%Y-%m-%d %H:%M}" if found.since else ""
    where = f", above all where {found.slice}" if found.slice else ""
    return f"{found.column or 'all columns together'}: {found.text.rstrip('.')}{since}{where}"


def ran(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what runs, newest first, say about when the model was trained and tried last."""
    ended = [run for run in runs if run.status != "running"]
    last = last_of(runs)
    return {
        "last_run": last.started_at if last else None,
        "last_attempt": ended[0].started_at if ended else None,
        "failures": next((i for i, run in enumerate(ended) if run.status != "failed"), len(ended)),
    }


def last_of(runs: Sequence[Run]) -> Run | None:
    """Return the newest run that came to an end without failing."""
    return next((run for run in runs if run.status not in {"running", "failed"}), None)


def _as_of(run: Run, moment: datetime) -> Run | None:
    """Return a run as it was at a moment; None: it was not there yet."""
    if run.started_at > moment:
        return None
    going = run.finished_at is None or run.finished_at > moment
    return msgspec.structs.replace(run, status="running") if going else run


def _gist(decision: Decision) -> tuple[bool, str, str]:
    """What a decision says without its numbers, so that a tick in which only they moved writes nothing."""
    return (
        decision.due,
        decision.policy,
        _NUMBERS.sub("", "\n".join((*decision.details, *decision.told, *decision.harm))),
    )
