"""Tells a lineage server of every run by OpenLineage events, again and again: whatever was not taken yet is sent.

There is no queue: events are made from the ledger, which remembers by run what was taken. A server that is down, a kill or a
second process change nothing but the moment. A kill between an answer and the note of it sends an event twice; receivers go by run id.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import and_, or_, select

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import (
    Busy,
    Conflict,
    LeaseLost,
    MirrorUnavailable,
    NotFound,
    StoreUnavailable,
    TreadleError,
)
from treadle.core.ids import digest_of_bytes
from treadle.core.records import Run
from treadle.data.commits import table_name
from treadle.data.datasets import Datasets
from treadle.evaluation.verdicts import Verdicts
from treadle.loop import lineage_events
from treadle.loop.lineage_events import Input, Told
from treadle.loop.lineage_server import LineageServer
from treadle.loop.mirroring import Mirrored
from treadle.loop.unsent import REFUSED_FOR
from treadle.registry.models import Models
from treadle.registry.sent import ITSELF, Sent, SentRows, State
from treadle.store.ledger import tables as t
from treadle.store.ledger.leases import Lease
from treadle.store.ledger.ledger import Ledger
from treadle.training.runs import Runs

#: Seconds that sending may take beside other work; what is left then is sent the next time.
BUDGET = 10.0
#: A server whose silence cost more seconds than this is left alone for a while, unless somebody asks for it.
_LONG, _LEFT_ALONE = 1.0, timedelta(minutes=1)
_LEASE = 60.0


class Lineage:
    """Sends the events that a lineage server was not told yet."""

    def __init__(
        self,
        server: LineageServer,
        *,
        namespace: str,
        release: str,
        ledger: Ledger,
        clock: Clock,
        runs: Runs,
        datasets: Datasets,
        models: Models,
        verdicts: Verdicts,
        uri: Callable[[str], str],
    ) -> None:
        """Take the server, the rooms that know of runs, and what gives a table's address by its name."""
        self.server, self.namespace, self.release = server, server.namespace or namespace, release
        self._ledger, self._clock, self._uri = ledger, clock, uri
        self._runs, self._datasets, self._models, self._verdicts = runs, datasets, models, verdicts
        self._rows = SentRows(ledger, server.place)

    def state(self) -> Mirrored:
        """Say what is still to be told; nothing is asked and nothing is written."""
        return self._state()

    def send(self, *, seconds: float | None = BUDGET, eager: bool = False) -> Mirrored:
        """Send what is missing, for so many seconds at most (None: until all is sent), and say how far it is.

        `eager` asks also a server that was silent a moment ago, and sends again what it refused.
        """
        due, before = self._due(eager=eager), self._rows.get(ITSELF)
        if not due or (not eager and self._is_left_alone(before)):
            return self._state()
        deadline = None if seconds is None else monotonic() + seconds
        name = f"lineage/{digest_of_bytes(self.server.place.encode())[7:23]}"
        try:
            with self._ledger.lease(name, holder="treadle lineage", ttl=_LEASE, clock=self._clock) as lease:
                # Another process may have sent meanwhile.
                sent, error = self._all(self._due(eager=eager), lease, deadline)
        except (Busy, LeaseLost):  # another process sends
            return self._state()
        return self._state(sent=sent, is_news=error not in ("", before.error if before else ""))

    def again(self) -> None:
        """Forget what was taken, so that all is sent again: for a server that lost something."""
        self._rows.forget()

    def events(self, run: Run) -> list[lineage_events.Event]:
        """Return the events of a run, as far as it has come."""
        told = self._told(run)
        return [lineage_events.start(told), *([] if run.status == "running" else [lineage_events.end(told)])]

    def _all(self, due: list[str], lease: Lease, deadline: float | None) -> tuple[int, str]:
        """Send the events of these runs; return how many were taken, and why the rest waits."""
        count = 0
        for id_ in due:
            if deadline is not None and monotonic() > deadline:
                break
            began = monotonic()
            try:
                count += self._run(id_, lease)
            except (StoreUnavailable, Conflict, LeaseLost):
                raise
            except MirrorUnavailable as error:
                self._away(str(error), monotonic() - began, lease)
                return count, str(error)
            except (
                TreadleError
            ) as error:  # refused there, or not to be had here: the rest need not wait for it
                known = self._rows.get(f"run:{id_}") or self._new(f"run:{id_}")
                self._put(known, lease, state="refused", error=str(error))
        self._away("", 0.0, lease)
        return count, ""

    def _run(self, id_: str, lease: Lease) -> int:
        run = self._runs.get(id_)
        known = self._rows.get(run.ref) or self._new(run.ref)
        events = self.events(run)
        if known.told:  # its begin was taken
            events = events[1:]
        for event in events:
            kind = event["eventType"]
            self.server.post(event, name=f"{id_}.{kind}", clock=self._clock)
            state: State = "open" if kind == "START" else "done"
            known = self._put(known, lease, state=state, told=kind, remote=event["run"]["runId"], error="")
        return len(events)

    def _told(self, run: Run) -> Told:
        made = None if run.model_version is None else self._models.get(f"{run.model}/{run.model_version}")
        return Told(
            namespace=self.namespace,
            release=self.release,
            run=run,
            inputs=tuple(self._input(name, version) for name, version in run.data.items()),
            verdicts=tuple(self._verdicts.list(run=run.id)),
            made=made,
        )

    def _input(self, name: str, version: int) -> Input:
        try:
            self._datasets.version(name)
        except NotFound:  # it is a tree of files
            return Input(name=name, version=version)
        found = Input(name=name, version=version, uri=self._uri(table_name(name, "rows")))
        try:
            schema = self._datasets.scan(name, version=version).collect_schema()
        except StoreUnavailable:
            raise
        except TreadleError:  # it was collected, or removed
            return found
        # What begins with an underscore is our own book-keeping.
        columns = {key: str(kind) for key, kind in schema.items() if not key.startswith("_")}
        return msgspec.structs.replace(found, columns=columns)

    def _due(self, *, eager: bool = False) -> list[str]:
        """Return the ids of runs of which something was not taken yet, oldest first."""
        sent, run = t.mirrored.c, t.runs.c
        matches = and_(sent.mirror == self.server.place, sent.subject == "run:" + run.id)
        refused = self._clock.now() if eager else self._clock.now() - REFUSED_FOR
        due = or_(
            sent.state.is_(None),
            and_(sent.state == "open", run.status != "running"),
            and_(sent.state == "refused", sent.at <= t.micros(refused)),
        )
        wanted = select(run.id).outerjoin(t.mirrored, matches).where(due).order_by(run.id)
        with self._ledger.read() as connection:
            return list(connection.execute(wanted).scalars())

    def _state(self, *, sent: int = 0, is_news: bool = False) -> Mirrored:
        itself = self._rows.get(ITSELF)
        return Mirrored(
            place=self.server.place,
            sent=sent,
            runs=len(self._due()),
            error=itself.error if itself else "",
            is_news=is_news,
            refused=tuple(f"{one.subject}: {one.error}" for one in self._rows.refused()),
        )

    def _is_left_alone(self, known: Sent | None) -> bool:
        """Return whether the server was silent so lately, and at such a price, that it is not asked now."""
        if known is None or not known.error or known.seconds <= _LONG:
            return False
        return known.at > self._clock.now() - _LEFT_ALONE

    def _away(self, error: str, seconds: float, lease: Lease) -> None:
        """Keep why the server could not be told, or that it can be again; where nothing is new nothing is written."""
        known = self._rows.get(ITSELF) or self._new(ITSELF)
        if known.error != error or seconds > _LONG:
            self._put(known, lease, state="open", error=error, seconds=seconds)

    def _new(self, subject: str) -> Sent:
        return Sent(mirror=self.server.place, subject=subject, state="begun", at=self._clock.now())

    def _put(self, sent: Sent, lease: Lease, **changes: Any) -> Sent:
        changed: Sent = msgspec.structs.replace(sent, at=self._clock.now(), **changes)
        with self._ledger.write() as connection:
            lease.check(connection)
            return self._rows.put(changed, connection)
