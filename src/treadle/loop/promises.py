"""How the project's promises (SLOs) stand: measured on what servers counted, and on what is true of data, models and answers."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

import msgspec
import polars as pl

from treadle.core.alert import Concern
from treadle.core.clock import parse_span
from treadle.core.errors import TreadleError
from treadle.core.records import Record
from treadle.loop import landed, live
from treadle.loop.known import Asked, Known
from treadle.loop.rooms import Rooms
from treadle.monitoring import burning as rates
from treadle.monitoring import courses
from treadle.monitoring.burning import FAST, PAIRS, SLOW, SPENT, WINDOWS, Burning, Measured
from treadle.monitoring.courses import Course
from treadle.monitoring.served import Served
from treadle.monitoring.slo import SLO
from treadle.monitoring.slos.freshness import Freshness
from treadle.monitoring.slos.quality import Quality
from treadle.store.ledger.remembered import Remembered

#: Rules of the alerts on promises.
RULES = (FAST, SLOW, SPENT)
_log = logging.getLogger("treadle.loop")


class Standing(Record, frozen=True, kw_only=True):
    """How one promise stands."""

    slo: str
    kind: str
    #: What it is about, as `endpoint:delay`, and what is promised, in words.
    subject: str
    said: str
    objective: float
    period: str
    #: `kept`, `burning` (somebody is told), `spent` (no budget is left), `unknown` (nothing was measured yet).
    state: str
    #: The share that was good over the period; None: nothing was measured.
    good: float | None = None
    #: Requests, or seconds, that this is about.
    measured: float = 0.0
    #: What is left of the error budget, as a share; below 0: more is used up than there was.
    budget_left: float | None = None
    #: How many times as fast as it may the budget burns, by window, as `1h`; windows in which nothing was measured are left out.
    burns: dict[str, float] = {}  # noqa: RUF012 - msgspec copies it
    #: Of a promise on time: whether it is kept now.
    kept_now: bool | None = None
    #: Of a promise on quality: the metric and its interval, and how many outcomes it is taken over.
    value: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    #: What a person should know, as sentences: why somebody is told, or why nothing can be measured.
    notes: tuple[str, ...] = ()


@dataclass
class Promises:
    """Measures promises. A tick at which nothing changed writes nothing."""

    rooms: Rooms
    _served: Served | None = field(default=None)
    _remembered: Remembered | None = field(default=None)

    def tick(self, known: Known | None = None) -> list[Standing]:
        """Look at all promises, note which were broken or kept since, and tell who should know.

        `known` is what is known of data and models; by default that is what the ledger answers when it is asked.
        """
        declared = self.rooms.project.slos
        if not declared:
            return self._told([], [])
        self.served.compact()
        self._look(known or Asked(self.rooms))
        found = self._measured()
        concerns = [concern for slo, _, fires in found for concern in _concerns(slo, fires)]
        concerns += [
            Concern(SPENT, f"slo:{one.slo}", _spent(one)) for _, one, _ in found if one.state == "spent"
        ]
        return self._told([one for _, one, _ in found], concerns)

    def standings(self) -> list[Standing]:
        """Return how all promises stand; nothing is written."""
        return [standing for _, standing, _ in self._measured()]

    @property
    def served(self) -> Served:
        """What servers counted."""
        if self._served is None:
            self._served = Served(self.rooms.ledger, self.rooms.clock)
        return self._served

    def _told(self, found: list[Standing], concerns: list[Concern]) -> list[Standing]:
        if self._remembered is None:
            self._remembered = Remembered(self.rooms.ledger)
        opened = self._remembered.of("open", self.rooms.alerts.open)
        there = {(alert.rule, alert.subject) for alert in opened if alert.rule in RULES}
        known = {(rule, f"slo:{one.slo}") for one in found for rule in RULES}
        if concerns or there:
            self.rooms.alerts.see(concerns, looked=there | known)
        return found

    def _measured(self) -> list[tuple[SLO, Standing, list[Burning]]]:
        declared = self.rooms.project.slos.values()
        if any(slo.counts_requests for slo in declared):
            self.served.refresh()
        timed = any(not slo.counts_requests for slo in declared)
        kept = courses.read(self.rooms.ledger) if timed else {}
        known = self._endpoints()
        return [self._standing(slo, kept.get(slo.label, Course()), known) for slo in declared]

    def _standing(self, slo: SLO, course: Course, known: set[str]) -> tuple[SLO, Standing, list[Burning]]:
        now = self.rooms.clock.now()

        @cache
        def measure(window: timedelta) -> Measured:
            if not slo.counts_requests:
                return course.measured(window, now)
            return Measured(*slo.good(self.served.counted(_name(slo), window)))

        whole, fires = measure(slo.span), rates.burning(slo, measure)
        left = _left(slo, whole)
        notes = [fire.text(slo) for fire in fires[:1]]
        kind, name = slo.subject.split(":", 1)
        if kind == "endpoint" and name not in known:
            notes.append(
                f"There is no endpoint {name!r}, so nothing is measured. Endpoints: {', '.join(sorted(known)) or 'none yet'}."
            )
        state = "unknown" if left is None else "burning" if fires else "kept"
        # Of three requests one that fails says little, and breaks no promise.
        if left is not None and left <= 0 and (not slo.counts_requests or whole.total >= slo.least):
            state = "spent"
        standing = Standing(
            slo=slo.label,
            kind=slo.kind,
            subject=slo.subject,
            said=slo.said,
            objective=slo.objective,
            period=slo.period,
            state=state,
            good=whole.good / whole.total if whole.total else None,
            measured=whole.total,
            budget_left=left,
            burns={
                _window(window): burn
                for window in WINDOWS
                if window <= slo.span and (burn := measure(window).burns(slo)) is not None
            },
            kept_now=course.is_kept,
            value=course.value,
            low=course.low,
            high=course.high,
            rows=course.rows,
            notes=tuple(notes),
        )
        return slo, standing, fires

    def _look(self, known: Known) -> None:
        """Look whether promises on time are kept now, and keep what has changed."""
        timed = [slo for slo in self.rooms.project.slos.values() if not slo.counts_requests]
        if not timed:
            return
        before, changed = courses.read(self.rooms.ledger), {}
        for slo in timed:
            course = before.get(slo.label, Course())
            try:
                after = (
                    self._fresh(slo, course, known) if isinstance(slo, Freshness) else self._good(slo, course)
                )
            except TreadleError as error:
                _log.warning("promise %s cannot be looked at: %s", slo.label, error)
                continue
            if after != course:
                changed[slo.label] = after
        courses.write(self.rooms.ledger, changed)

    def _fresh(self, slo: Freshness, course: Course, known: Known) -> Course:
        now = self.rooms.clock.now()
        newest, came = _newest(slo, known)
        if newest is None:
            return course.turned(kept=False, since=now, now=now, period=slo.span)
        kept = now - newest <= slo.limit
        since = came if kept else newest + slo.limit
        return course.turned(kept=kept, since=since or now, now=now, period=slo.span)

    def _good(self, slo: SLO, course: Course) -> Course:
        assert isinstance(slo, Quality)
        now = self.rooms.clock.now()
        if course.looked_at is not None and timedelta(0) <= now - course.looked_at < parse_span(slo.every):
            return course
        rows, value, low, high = self._scored(slo, now)
        looked = msgspec.structs.replace(course, looked_at=now, value=value, low=low, high=high, rows=rows)
        if rows < slo.rows:
            return looked
        return looked.turned(kept=slo.is_kept(low, high), since=now, now=now, period=slo.span)

    def _scored(self, slo: Quality, now: datetime) -> tuple[int, float | None, float | None, float | None]:
        """Return how many outcomes of the window are known, and the metric over them with its interval."""
        rooms, name = self.rooms, _name(slo)
        since = now - parse_span(slo.window)
        answers = rooms.predictions().scan(name).filter((pl.col("at") > since) & (pl.col("at") <= now))
        rows = answers.collect()
        wanted = rows.select("model", "version").unique().rows()
        versions = {(model, number): rooms.models.get(f"{model}/{number}") for model, number in wanted}
        if not versions:
            return 0, None, None, None
        known = live.answered(rows, landed.outcomes_of(rooms, name, rows.lazy()), versions)
        first = next(iter(versions.values()))
        task = rooms.project.task_of(first)
        return live.overall(known, task=task, measure=slo.metric, signature=first.signature)

    def _endpoints(self) -> set[str]:
        about = [slo for slo in self.rooms.project.slos.values() if slo.subject.startswith("endpoint:")]
        return set(self.rooms.endpoints.names()) if about else set()


def _newest(slo: Freshness, known: Known) -> tuple[datetime | None, datetime | None]:
    """Return the event time up to which something goes, and when that came about; None: there is nothing yet."""
    kind, name = slo.subject.split(":", 1)
    if kind == "model":
        champion = known.champion(name)
        return (champion.window.end, champion.created_at) if champion else (None, None)
    newest = known.dataset(name)
    return (newest.time_max, newest.created_at) if newest else (None, None)


def _name(slo: SLO) -> str:
    return slo.subject.partition(":")[2]


def _left(slo: SLO, whole: Measured) -> float | None:
    """Return the share of the error budget that is left: of one on time it is a part of the period, however little of that is known."""
    burns = whole.burns(slo)
    if burns is None:
        return None
    known = 1.0 if slo.counts_requests else min(whole.total / slo.span.total_seconds(), 1.0)
    return 1 - burns * known


def _concerns(slo: SLO, fires: list[Burning]) -> list[Concern]:
    """Return what somebody should be told: of each rule the fastest."""
    found: dict[str, Concern] = {}
    for fire in fires:
        rule = fire.pair.rule
        found.setdefault(rule, Concern(rule, f"slo:{slo.label}", fire.text(slo)))
    return list(found.values())


def _spent(one: Standing) -> str:
    assert one.good is not None
    return (
        f"{one.slo} is broken: over {one.period}, {one.good:.4%} was good, and {one.objective:.4%} is promised ({one.said}). "
        "Its error budget is used up."
    )


def _window(window: timedelta) -> str:
    seconds = int(window.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds // 60}m"


#: Window → its name in `Standing.burns`.
WINDOW_NAMES = {window: _window(window) for pair in PAIRS for window in (pair.long, pair.short)}
