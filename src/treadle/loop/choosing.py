"""Which policy of a grid to take, and why: the cheapest of those that are not certainly worse than the best."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
import numpy as np

from treadle.core.records import Record
from treadle.loop.contest import Contest, Raced, Racer
from treadle.loop.grid import DECLARED, Grid, usual
from treadle.loop.history import History
from treadle.loop.models import Model
from treadle.loop.refit_workers import Trainers
from treadle.loop.replay import stretch
from treadle.loop.rooms import Rooms
from treadle.loop.weighing import Difference, difference

#: One minus the confidence of intervals; for a comparison with several policies it is divided among them.
ALPHA = 0.05


class GridReplay(Record, frozen=True, kw_only=True):
    """What the policies of a grid would have done, beside each other."""

    model: str
    metric: str
    since: datetime
    until: datetime
    #: Rows that every policy answered: what losses are compared on; and the moment of the first of them.
    rows: int
    compared_from: datetime | None
    policies: tuple[Raced, ...]
    #: Beginning of each week, and the mean loss in it of the first model kept for ever and of each baseline.
    weeks: tuple[datetime, ...]
    beside: dict[str, tuple[float | None, ...]]
    #: The policy to take, and why.
    recommended: str
    reason: str
    #: Fits that there are, and how often one was asked for: the rest was shared; how many of them an earlier replay had made;
    #: and the seconds that all took.
    fits: int
    fits_asked: int
    fits_kept: int
    fit_seconds: float

    def policy(self, name: str) -> Raced:
        """Return one policy by its name."""
        return next(one for one in self.policies if one.name == name)


def replay_grid(
    model: Model,
    rooms: Rooms,
    trainers: Trainers,
    grid: Grid | None = None,
    *,
    since: datetime | None,
    until: datetime | None,
    step: timedelta,
) -> GridReplay:
    """Walk the history with each policy of a grid (by default twelve round the declared one), and recommend one.

    Raises:
        NotFound: no row has a known outcome.
        InvalidInput: there is no time in the stretch, or the metric that decides is no mean over rows.
    """
    history = History(model, rooms)
    begin, end = stretch(history, since=since, until=until, step=step)
    plans = (grid or usual(model)).plans(model)
    with Contest(history, rooms, plans, trainers, end=end) as contest:
        contest.walk(begin, end, step)
        return _summary(contest, begin, end)


def _summary(contest: Contest, begin: datetime, end: datetime) -> GridReplay:
    low, high = contest.hindsight.span(begin, end)
    time = contest.hindsight.time[low:high]
    losses = [contest.answers(racer, begin, end) for racer in contest.racers]
    running = [one for one in losses if not np.isnan(one).all()]
    shared = np.ones(high - low, dtype=bool) if running else np.zeros(high - low, dtype=bool)
    for one in running:
        shared &= ~np.isnan(one)
    starts = _weeks(begin, end)
    cuts = [contest.hindsight.span(at, at)[0] - low for at in starts] + [high - low]
    declared, share = losses[0], ALPHA / max(len(losses) - 1, 1)
    policies = []
    for racer, loss in zip(contest.racers, losses, strict=True):
        ran = not np.isnan(loss).all() and shared.any()
        beside = (
            difference(loss[shared], declared[shared], time=time[shared], alpha=share)
            if ran and not np.isnan(declared).all() and loss is not declared
            else None
        )
        policies.append(
            Raced(
                name=racer.plan.name,
                trainings=contest.looked_back(racer, end, alpha=ALPHA),
                since=racer.reigns[0][0] if racer.reigns else None,
                loss=float(loss[shared].mean()) if ran else float("nan"),
                against=beside,
                weeks=_means(loss, cuts),
            )
        )
    name, reason = _chosen(policies, losses, shared, time)
    return GridReplay(
        model=contest.history.model.name,
        metric=contest.history.model.task.metric,
        since=begin,
        until=end,
        rows=int(shared.sum()),
        compared_from=max((one.since for one in policies if one.since is not None), default=None),
        policies=tuple(policies),
        weeks=tuple(starts),
        beside={key: _means(found, cuts) for key, found in _beside(contest, begin, end).items()},
        recommended=name,
        reason=reason,
        fits=contest.fits.count,
        fits_asked=contest.fits.asked,
        fits_kept=contest.fits.kept,
        fit_seconds=contest.fits.seconds,
    )


def _beside(contest: Contest, begin: datetime, end: datetime) -> dict[str, np.ndarray]:
    """Return the losses of the declared policy's first model kept for ever, and of the baselines fitted beside it."""
    first: Racer = contest.racers[0]
    if not first.reigns:
        return {}
    at, fit = first.reigns[0]
    low, high = contest.hindsight.span(begin, end)
    found = {}
    for name, who in {"frozen": fit.candidate, **fit.baselines}.items():
        loss = np.full(high - low, np.nan)
        start = contest.hindsight.span(at, end)[0]
        key = fit.key if name == "frozen" else f"{fit.key} {name}"
        loss[start - low :] = contest.always(who, key, at, end)
        found[name] = loss
    return found


def _chosen(
    policies: Sequence[Raced], losses: Sequence[np.ndarray], shared: np.ndarray, time: np.ndarray
) -> tuple[str, str]:
    """Return the policy to take, and why, in words."""
    there = [place for place, one in enumerate(policies) if np.isfinite(one.loss)]
    if not there:
        return DECLARED, "no policy released anything, so nothing could be compared; the declared one stays"
    best = min(there, key=lambda place: policies[place].loss)
    share = ALPHA / max(len(there) - 1, 1)
    equal = {best: 0.0}
    for place in there:
        gap: Difference | None = (
            difference(losses[place][shared], losses[best][shared], time=time[shared], alpha=share)
            if place != best
            else None
        )
        if gap is not None and not gap.is_worse:
            equal[place] = gap.value
    pick = min(equal, key=lambda place: (len(policies[place].trainings), policies[place].loss, place))
    one, top = policies[pick], policies[best]
    spent = f"{len(one.trainings)} trainings"
    if pick == best:
        others = f"; of {len(equal)} that are not certainly worse it trains least" if len(equal) > 1 else ""
        reason = f"it has the lowest loss, {one.loss:.4f}, with {spent}{others}"
    else:
        reason = (
            f"with {spent} where the best policy, {top.name} ({top.loss:.4f}), spent {len(top.trainings)}, its loss of "
            f"{one.loss:.4f} is not certainly higher; of {len(equal)} such policies it trains least"
        )
    return one.name, reason + _beside_declared(policies, one)


def _beside_declared(policies: Sequence[Raced], one: Raced) -> str:
    gap = one.against
    if one is policies[0]:
        return ". It is the declared one"
    if gap is None:
        return ""
    said = (
        "certainly better"
        if gap.is_better
        else "certainly worse"
        if gap.is_worse
        else "no certain difference"
    )
    return (
        f". Against the declared policy: {gap.value:+.5f} ({gap.low:+.5f} to {gap.high:+.5f}, {gap.days} days), {said}, "
        f"and {len(one.trainings)} trainings for {len(policies[0].trainings)}"
    )


def _weeks(begin: datetime, end: datetime) -> list[datetime]:
    count = -(-(end - begin) // timedelta(weeks=1))
    return [begin + timedelta(weeks=number) for number in range(count)]


def _means(loss: np.ndarray, cuts: Sequence[int]) -> tuple[float | None, ...]:
    parts = [loss[a:b][~np.isnan(loss[a:b])] for a, b in pairwise(cuts)]
    return tuple(float(part.mean()) if len(part) else None for part in parts)


def plain(found: GridReplay) -> dict[str, object]:
    """Return what a program wants: everything, with the counts that are derived."""
    told = msgspec.to_builtins(found)
    for one, raced in zip(told["policies"], found.policies, strict=True):
        one |= {"promotions": raced.promotions, "wrong": raced.wrong, "missed": raced.missed}
    result: dict[str, object] = told
    return result
