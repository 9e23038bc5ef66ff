"""What the ledger says of all models, read in a few queries: what a watcher decides from, tick by tick."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Table, func, or_, select

from treadle.core.records import DatasetVersion, Decision, ModelVersion, Run, from_json
from treadle.data.state import read_all_problems
from treadle.loop.approvals import Approval
from treadle.loop.facts import Request
from treadle.loop.known import LOOKED_BACK, Asked
from treadle.loop.rooms import Rooms
from treadle.monitoring.alerts import Standing
from treadle.store.ledger import tables as t

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Now:
    """What changes at any time, and is small: read anew for each picture."""

    champions: dict[str, int]
    newest: dict[str, int]
    requests: dict[str, list[Request]]
    approvals: dict[str, list[Approval]]
    problems: dict[str, list[tuple[str, datetime]]]
    alerts: Standing


class Picture:
    """One state of the ledger, as of its first question after `spoil`.

    Runs and decisions are remembered from one picture to the next: only newer ones are read, and runs that had not ended. What
    nobody writes again (versions) is read once, for as long as somebody asks for it.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms, self._asked = rooms, Asked(rooms)
        self._runs: dict[str, list[Run]] = {}
        self._decisions: dict[str, Decision] = {}
        self._last = {"runs": "", "decisions": ""}
        self._kept = _Kept()
        self._now: _Now | None = None
        #: The state of the ledger before it was read, and whether somebody has to look if it is still the same.
        self._still, self._spoilt = "", False

    def spoil(self) -> None:
        """Let the next question be answered from the ledger as it is then."""
        self._spoilt = True

    @property
    def alerts(self) -> Standing:
        """Return what alerts are open or counted."""
        return self._read().alerts

    def runs(self, model: str) -> Sequence[Run]:
        """Return the newest 50 runs, newest first."""
        self._read()
        return self._runs.get(model, [])

    def runs_since(self, model: str, moment: datetime) -> Sequence[Run]:
        """Return the runs that were started after a moment, oldest first."""
        there = self.runs(model)
        found = [run for run in there if run.started_at > moment]
        if len(there) == LOOKED_BACK and there[-1] in found[-1:]:  # there may be more of them
            return self._asked.runs_since(model, moment)
        return found[::-1]

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that answers; None: there is none."""
        number = self._read().champions.get(model)
        if number is None:
            return None
        return self._kept.of((model, number), lambda: self._rooms.models.get(f"{model}/{number}"))

    def dataset(self, name: str, version: int | None = None) -> DatasetVersion | None:
        """Return a version of a dataset, by default the newest; None: there is none such."""
        number = self._read().newest.get(name, 0) if version is None else version
        return self._kept.of(("dataset", name, number), lambda: self._asked.dataset(name, number))

    def between(self, name: str, after: int, upto: int) -> Sequence[DatasetVersion]:
        """Return the versions of a dataset after one and up to another, oldest first."""
        return self._kept.of(("between", name, after, upto), lambda: self._asked.between(name, after, upto))

    def problems(self, name: str) -> Sequence[tuple[str, datetime]]:
        """Return the present problems with files of a dataset, reason and moment, oldest first."""
        return self._read().problems.get(name, [])

    def requests(self, model: str) -> Sequence[Request]:
        """Return what was asked for and nothing was done about yet, oldest first."""
        return self._read().requests.get(model, [])

    def approvals(self, model: str) -> Sequence[Approval]:
        """Return what waits for a person, oldest first."""
        return self._read().approvals.get(model, [])

    def decision(self, model: str) -> Decision | None:
        """Return the newest kept decision; None: there is none."""
        self._read()
        return self._decisions.get(model)

    def _read(self) -> _Now:
        if self._now is None or self._is_old():
            self._kept.age()
            with self._rooms.ledger.snapshot(), self._rooms.ledger.read() as connection:
                self._read_runs(connection)
                self._read_decisions(connection)
                self._now = _Now(
                    champions=_champions(connection),
                    newest=_newest(connection),
                    requests=_by_model(connection, t.requests, Request, t.requests.c.run == ""),
                    approvals=_by_model(connection, t.approvals, Approval, t.approvals.c.state == "waiting"),
                    problems=read_all_problems(connection),
                    alerts=self._rooms.alerts.standing(),
                )
        return self._now

    def _is_old(self) -> bool:
        """Return whether something may have been written since it was read; the state is noted before it is read again."""
        if not self._spoilt:
            return False
        self._spoilt, before, self._still = False, self._still, self._rooms.ledger.still()
        return not before or before != self._still

    def _read_runs(self, connection: Connection) -> None:
        if self._is_behind(connection, t.runs):
            self._runs = {}
        last, c = self._last["runs"], t.runs.c
        going = [run.id for runs in self._runs.values() for run in runs if run.status == "running"]
        if last:
            wanted = select(c.body).where(or_(c.id > last, c.id.in_(going)) if going else c.id > last)
        else:
            place = func.row_number().over(partition_by=c.model, order_by=c.id.desc()).label("place")
            placed = select(c.id, place).subquery()
            wanted = select(c.body).join(placed, placed.c.id == c.id).where(placed.c.place <= LOOKED_BACK)
        found = [from_json(body, Run) for body in connection.execute(wanted).scalars()]
        for model, runs in _grouped(found).items():
            there = {run.id: run for run in (*self._runs.get(model, ()), *runs)}
            self._runs[model] = sorted(there.values(), key=lambda run: run.id)[: -LOOKED_BACK - 1 : -1]
        self._last["runs"] = max([last, *(run.id for run in found)])

    def _read_decisions(self, connection: Connection) -> None:
        if self._is_behind(connection, t.decisions):
            self._decisions = {}
        last, c = self._last["decisions"], t.decisions.c
        chosen = c.id > last if last else c.id.in_(select(func.max(c.id)).group_by(c.model))
        for row in connection.execute(select(c.id, c.body).where(chosen).order_by(c.id)):
            said = from_json(row.body, Decision)
            self._decisions[said.model] = said
            self._last["decisions"] = row.id

    def _is_behind(self, connection: Connection, table: Table) -> bool:
        """Return whether the ledger is an older one than was seen, as after a backup was put back: all is read again."""
        newest = connection.execute(select(func.max(table.c.id))).scalar() or ""
        if newest >= self._last[table.name]:
            return False
        self._last[table.name] = ""
        return True


@dataclass
class _Kept:
    """Records that nobody writes again: those that were asked for since the picture before the last."""

    _new: dict[Hashable, Any] = field(default_factory=dict)
    _old: dict[Hashable, Any] = field(default_factory=dict)

    def of(self, key: Hashable, read: Callable[[], _T]) -> _T:
        found = self._new[key] if key in self._new else self._old.get(key)
        if found is None:  # also what is not there, as it may come
            found = read()
        if found is not None:
            self._new[key] = found
        return cast("_T", found)

    def age(self) -> None:
        self._new, self._old = {}, self._new


def _champions(connection: Connection) -> dict[str, int]:
    c = t.aliases.c
    rows = connection.execute(select(c.model, c.version).where(c.alias == "champion"))
    return {row.model: row.version for row in rows}


def _newest(connection: Connection) -> dict[str, int]:
    c = t.dataset_versions.c
    rows = connection.execute(select(c.dataset, func.max(c.version).label("version")).group_by(c.dataset))
    return {row.dataset: row.version for row in rows}


def _by_model(connection: Connection, table: Table, kind: type[Any], chosen: Any) -> dict[str, list[Any]]:
    by = (table.c.asked_at, table.c.version) if table is t.approvals else (table.c.at, table.c.id)
    bodies = connection.execute(select(table.c.body).where(chosen).order_by(*by)).scalars()
    return _grouped(from_json(body, kind) for body in bodies)


def _grouped(records: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for one in records:
        found[one.model].append(one)
    return dict(found)
