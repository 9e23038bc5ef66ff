"""Many policies walked through one history side by side: what each would have cost, and which of them to take.

Each decides at every moment on what was known then, as in `replay`; fits are shared. With all outcomes known, losses are compared row
by row on the rows that every policy has answered, and each promotion is judged by the rows that came after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from treadle.core.clock import parse_span
from treadle.core.records import Decision, Record, Verdict, Window
from treadle.loop.contenders import Contender
from treadle.loop.courses import Course, foresee
from treadle.loop.facts import PERFORMED, Performed
from treadle.loop.frames import Known
from treadle.loop.grid import DECLARED, Plan
from treadle.loop.hindsight import Hindsight
from treadle.loop.history import History, moments
from treadle.loop.live_loss import performed
from treadle.loop.refit_workers import Trainers
from treadle.loop.refits import Fit, Fits
from treadle.loop.replay import judge
from treadle.loop.rooms import Rooms
from treadle.loop.weighing import Difference, difference
from treadle.store.ledger.tables import micros


class Turned(Record, frozen=True, kw_only=True):
    """One training of a policy, and what hindsight says of its gates."""

    at: datetime
    reason: str
    #: The dataset version that was the newest then; None: all of it was brought in later.
    data_version: int | None = None
    window: Window
    rows: int
    passed: bool
    verdicts: tuple[Verdict, ...]
    #: The candidate less who answered then, on the rows until the policy's next training; None: nobody answered, or no days.
    later: Difference | None = None

    @property
    def was_wrong(self) -> bool:
        """Whether it was promoted and is certainly worse on what came."""
        return self.passed and self.later is not None and self.later.is_worse

    @property
    def was_missed(self) -> bool:
        """Whether it was turned down and is certainly better on what came."""
        return not self.passed and self.later is not None and self.later.is_better


class Raced(Record, frozen=True, kw_only=True):
    """One policy of a grid, walked through the history."""

    name: str
    trainings: tuple[Turned, ...]
    #: From when on somebody answered; None: nothing ever passed.
    since: datetime | None
    #: Mean loss over the rows that all policies answered; NaN where there are none.
    loss: float
    #: That less the loss of the declared policy, on the same rows; the interval allows for how many policies there are.
    against: Difference | None = None
    #: Mean loss by week, None where nobody answered.
    weeks: tuple[float | None, ...] = ()

    @property
    def promotions(self) -> int:
        """Trainings whose result answered."""
        return sum(one.passed for one in self.trainings)

    @property
    def wrong(self) -> int:
        """Promotions that hindsight calls wrong."""
        return sum(one.was_wrong for one in self.trainings)

    @property
    def missed(self) -> int:
        """Promotions that hindsight misses."""
        return sum(one.was_missed for one in self.trainings)


@dataclass(eq=False)
class Racer:
    """Where one policy is in the history."""

    plan: Plan
    course: Course
    reigns: list[tuple[datetime, Fit]] = field(default_factory=list)
    turns: list[tuple[Turned, Fit, Fit | None]] = field(default_factory=list)
    #: The champion's mean loss on its test rows, and how many they were: what decay is measured against.
    expected: tuple[float, int] | None = None

    @property
    def champion(self) -> Fit | None:
        """Who answers."""
        return self.reigns[-1][1] if self.reigns else None


class Contest:
    """Walks policies side by side. A context manager: at its end nothing trains any more."""

    def __init__(
        self, history: History, rooms: Rooms, plans: Sequence[Plan], trainers: Trainers, *, end: datetime
    ) -> None:
        self.history, self._rooms = history, rooms
        self.hindsight, self.fits = Hindsight(history), Fits(history, trainers, end=end)
        self.racers = [Racer(plan, Course(history.model.name, plan.policy)) for plan in plans]
        #: By candidate, champion and gates: what these said.
        self._judged: dict[tuple[str, str, tuple[int, ...]], tuple[Verdict, ...]] = {}

    def __enter__(self) -> Contest:
        """Start nothing yet."""
        return self

    def __exit__(self, *error: Any) -> None:
        """End all trainings."""
        self.fits.__exit__(*error)

    def walk(self, begin: datetime, end: datetime, step: timedelta) -> None:
        """Let every policy look at each moment."""
        walked = list(moments(begin, end, step))
        foresee(self.history, self.fits, [racer.plan.policy for racer in self.racers], walked)
        for number, moment in enumerate(walked):
            self._rooms.progress.advance(number, len(walked))
            known = self.history.known(moment)
            due = [(racer, self._decide(racer, moment, known)) for racer in self.racers]
            due = [(racer, decision) for racer, decision in due if decision.due and known.until is not None]
            for racer, _ in due:  # all of them, before any is waited for
                self.fits.start(moment, known, racer.plan.policy.window)
            for racer, decision in due:
                self._train(racer, decision, known)

    def _decide(self, racer: Racer, moment: datetime, known: Known) -> Decision:
        needs = racer.plan.policy.needs
        spans = [need.partition(" ")[2] for need in needs if need.startswith(f"{PERFORMED} ")]
        live = {span: self._performed(racer, moment, span) for span in spans}
        return racer.course.decide(
            moment, known, {span: found for span, found in live.items() if found is not None}
        )

    def _train(self, racer: Racer, decision: Decision, known: Known) -> None:
        moment, before = decision.at, racer.champion
        fit = self.fits.at(moment, known, racer.plan.policy.window)
        if fit.nothing:
            self._rooms.progress.step(f"{moment:%Y-%m-%d}, {racer.plan.name}: {fit.nothing}")
            racer.course.failed(moment)
            return
        verdicts = self._judge(fit, before, racer.plan.gates)
        passed = all(verdict.passed for verdict in verdicts)
        turned = Turned(
            at=moment,
            reason=decision.reason,
            data_version=self.history.version_at(moment),
            window=fit.window,
            rows=fit.rows,
            passed=passed,
            verdicts=verdicts,
        )
        racer.turns.append((turned, fit, before))
        if passed:
            racer.reigns.append((moment, fit))
            racer.expected = self._expected(racer, fit)
        racer.course.ran(moment, known, seconds=fit.seconds)

    def _judge(self, fit: Fit, before: Fit | None, gates: tuple[Any, ...]) -> tuple[Verdict, ...]:
        """Let gates decide, once about the same two fits."""
        what = (fit.key, before.key if before else "", tuple(map(id, gates)))
        if what not in self._judged:
            champion = before.candidate if before else None
            self._judged[what] = judge(self.history, self._rooms, fit, champion, gates)
        return self._judged[what]

    def _expected(self, racer: Racer, fit: Fit) -> tuple[float, int] | None:
        """Return a fit's mean loss on its test rows, where a trigger asks for it."""
        if not any(need.startswith(PERFORMED) for need in racer.plan.policy.needs) or fit.test.is_empty():
            return None
        return float(np.mean(self.hindsight.of_rows(fit.test, fit.candidate))), fit.test.height

    def _performed(self, racer: Racer, moment: datetime, span: str) -> Performed | None:
        """Return how good the answers of a policy's champion were, on outcomes that had arrived."""
        if not racer.reigns or racer.expected is None:
            return None
        begun, fit = racer.reigns[-1]
        since = max(moment - parse_span(span), begun)
        low, high = self.hindsight.span(since, moment)
        there = self.hindsight.arrived[low:high] < micros(moment)
        if not there.any():
            return None
        losses = self.hindsight.losses(fit.key, fit.candidate, low, high)[there]
        metric, version = self.history.model.task.metric, len(racer.reigns)
        return performed(losses, metric=metric, version=version, since=since, expected=racer.expected)

    def answers(self, racer: Racer, begin: datetime, end: datetime) -> np.ndarray:
        """Return the loss of a policy on each row of a stretch; NaN where nobody answered."""
        low, high = self.hindsight.span(begin, end)
        found = np.full(high - low, np.nan)
        ends = [*(at for at, _ in racer.reigns), end][1:]
        for (start, fit), until in zip(racer.reigns, ends, strict=True):
            a, b = self.hindsight.span(max(start, begin), min(until, end))
            if a < b:
                found[a - low : b - low] = self.hindsight.losses(fit.key, fit.candidate, a, b)
        return found

    def looked_back(self, racer: Racer, end: datetime, *, alpha: float) -> tuple[Turned, ...]:
        """Return a policy's trainings with what the rows until the next one say of each."""
        ends = [*(turned.at for turned, _, _ in racer.turns), end][1:]
        found = []
        for (turned, fit, before), until in zip(racer.turns, ends, strict=True):
            later = None
            if before is not None:
                low, high = self.hindsight.span(turned.at, until)
                time = self.hindsight.time[low:high]
                sides = [self.hindsight.losses(one.key, one.candidate, low, high) for one in (fit, before)]
                later = difference(sides[0], sides[1], time=time, alpha=alpha)
            found.append(msgspec.structs.replace(turned, later=later))
        return tuple(found)

    def always(self, who: Contender, key: str, begin: datetime, end: datetime) -> np.ndarray:
        """Return the loss of one who answers from a moment on for ever."""
        low, high = self.hindsight.span(begin, end)
        return self.hindsight.losses(key, who, low, high)


def declared_of(racers: Sequence[Racer]) -> Racer:
    """Return the policy that the project declares."""
    return next(racer for racer in racers if racer.plan.name == DECLARED)
