"""Many policies walked through one history side by side: what each would have cost, and which of them to take.

Each decides at every moment on what was known then, as in `replay`; fits are shared. With all outcomes known, losses are compared row
by row on the rows that every policy has answered, and each promotion is judged by the rows that came after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
import numpy as np

from treadle.core.clock import parse_span
from treadle.core.records import Record, Verdict, Window
from treadle.loop.contenders import Contender
from treadle.loop.facts import PERFORMED, Facts, Performed, Spent
from treadle.loop.frames import Known
from treadle.loop.grid import DECLARED, Plan
from treadle.loop.hindsight import Hindsight
from treadle.loop.history import History
from treadle.loop.live_loss import performed
from treadle.loop.refits import Fit, Fits
from treadle.loop.replay import judge
from treadle.loop.rooms import Rooms
from treadle.loop.weighing import Difference, difference
from treadle.store.ledger.tables import micros


class Turned(Record, frozen=True, kw_only=True):
    """One training of a policy, and what hindsight says of its gates."""

    at: datetime
    reason: str
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
    reigns: list[tuple[datetime, Fit]] = field(default_factory=list)
    last_run: datetime | None = None
    rows_at_last_run: int = 0
    turns: list[tuple[Turned, Fit, Fit | None]] = field(default_factory=list)
    #: The champion's mean loss on its test rows, and how many they were: what decay is measured against.
    expected: tuple[float, int] | None = None

    @property
    def champion(self) -> Fit | None:
        """Who answers."""
        return self.reigns[-1][1] if self.reigns else None


class Contest:
    """Walks policies side by side."""

    def __init__(self, history: History, rooms: Rooms, plans: Sequence[Plan]) -> None:
        self.history, self._rooms = history, rooms
        self.hindsight, self.fits = Hindsight(history), Fits(history)
        self.racers = [Racer(plan) for plan in plans]

    def walk(self, begin: datetime, end: datetime, step: timedelta) -> None:
        """Let every policy look at each moment."""
        moment = begin + step
        while moment <= end:
            self._rooms.progress.advance(int((moment - begin) / step), int((end - begin) / step))
            known = self.history.known(moment)
            for racer in self.racers:
                self._look(racer, moment, known)
            moment += step

    def _look(self, racer: Racer, moment: datetime, known: Known) -> None:
        plan = racer.plan
        decision = plan.policy.decide(self._facts(racer, moment, known))
        if not decision.due or known.until is None:
            return
        fit, before = self.fits.at(moment, known, plan.policy.window), racer.champion
        verdicts = judge(self.history, self._rooms, fit, before.candidate if before else None, plan.gates)
        passed = all(verdict.passed for verdict in verdicts)
        turned = Turned(
            at=moment,
            reason=decision.reason,
            window=fit.window,
            rows=fit.rows,
            passed=passed,
            verdicts=verdicts,
        )
        racer.turns.append((turned, fit, before))
        if passed:
            racer.reigns.append((moment, fit))
            racer.expected = self._expected(racer, fit)
        racer.last_run, racer.rows_at_last_run = moment, known.rows

    def _facts(self, racer: Racer, moment: datetime, known: Known) -> Facts:
        policy = racer.plan.policy
        spans = [need.partition(" ")[2] for need in policy.needs if need.startswith(f"{PERFORMED} ")]
        live = {span: self._performed(racer, moment, span) for span in spans}
        return Facts(
            model=self.history.model.name,
            now=moment,
            rows=known.rows,
            rows_at_last_run=racer.rows_at_last_run,
            last_run=racer.last_run,
            last_attempt=racer.last_run,
            new_outcomes=known.rows - racer.rows_at_last_run,
            performed={span: found for span, found in live.items() if found is not None},
            spent=_spent(racer, moment),
        )

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
        there = self.hindsight.arrived[low:high] <= micros(moment)
        if not there.any():
            return None
        losses = self.hindsight.losses(fit.key, fit.candidate, low, high)[there]
        metric, version = self.history.model.task.metric, len(racer.reigns)
        return performed(losses, metric=metric, version=version, since=since, expected=racer.expected)

    def answers(self, racer: Racer, begin: datetime, end: datetime) -> np.ndarray:
        """Return the loss of a policy on each row of a stretch; NaN where nobody answered."""
        low, high = self.hindsight.span(begin, end)
        found = np.full(high - low, np.nan)
        ends = [at for at, _ in racer.reigns[1:]] + [end]
        for (start, fit), until in zip(racer.reigns, ends, strict=True):
            a, b = self.hindsight.span(max(start, begin), min(until, end))
            if a < b:
                found[a - low : b - low] = self.hindsight.losses(fit.key, fit.candidate, a, b)
        return found

    def looked_back(self, racer: Racer, end: datetime, *, alpha: float) -> tuple[Turned, ...]:
        """Return a policy's trainings with what the rows until the next one say of each."""
        ends = [turned.at for turned, _, _ in racer.turns[1:]] + [end]
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


def _spent(racer: Racer, moment: datetime) -> Spent:
    budget = racer.plan.policy.budget
    if budget is None:
        return Spent()
    since = moment - parse_span(budget.per)
    made = [(turned.at, fit.seconds / 3600) for turned, fit, _ in racer.turns if turned.at > since]
    hours = [each for _, each in made]
    return Spent(
        runs=len(made),
        hours=sum(hours),
        last_hours=hours[-1] if hours else 0.0,
        oldest=made[0][0] if made else None,
    )


def declared_of(racers: Sequence[Racer]) -> Racer:
    """Return the policy that the project declares."""
    return next(racer for racer in racers if racer.plan.name == DECLARED)
