"""The guard `Latency`: a challenger may not take much longer than the first variant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from treadle.core.rollout import GuardVerdict
from treadle.core.sequential import rate_bounds
from treadle.serving.guard import Case, Needs, check, is_count, is_share, spec_of
from treadle.serving.tallies import STEPS, Tally, above, step_of, upper

_NAMES = {0.5: "median"}


@dataclass(frozen=True)
class Latency:
    """Roll back a challenger that surely takes longer than `ratio` times the first variant, at one of some quantiles.

    What is compared is the time in the model, without waiting and writing. The bounds hold at every look; one that is as
    fast is rolled back with a chance of at most `alpha` in the whole rollout. What takes less than `slack` seconds longer is
    accepted whatever the ratio: a challenger answers in threads of its own, and where a model takes half a millisecond and the
    machine has no processor to spare, waiting for one is most of its time. Beside the answer, as a shadow, times are
    not judged: there they are not a caller's.

    >>> Latency(ratio=2).quantiles
    (0.5, 0.95)

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    ratio: float = 1.5
    quantiles: tuple[float, ...] = (0.5, 0.95)
    alpha: float = 0.01
    min_requests: int = 100
    slack: float = 0.002

    def __post_init__(self) -> None:
        """Check what was declared."""
        object.__setattr__(self, "quantiles", tuple(self.quantiles))
        ratio: object = self.ratio
        slack: object = self.slack
        check(
            self,
            ratio=(ratio, is_share(ratio, open_ended=True) and self.ratio >= 1, "1 or more, as 1.5"),
            quantiles=(
                self.quantiles,
                bool(self.quantiles) and all(map(is_share, self.quantiles)),
                "some numbers between 0 and 1, as (0.5, 0.95)",
            ),
            alpha=(self.alpha, is_share(self.alpha), "between 0 and 1, as 0.01"),
            slack=(slack, is_share(slack, open_ended=True), "seconds, 0 or more, as 0.02"),
            min_requests=(self.min_requests, is_count(self.min_requests), "a whole number, 1 or more"),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "latency"

    @property
    def needs(self) -> Needs:
        """What it judges by."""
        return "tallies"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return spec_of(self)

    def judge(self, case: Case) -> GuardVerdict:
        """Compare the times at each quantile; the first that is surely too long decides."""
        if case.stage.shadow and not case.stage.share:
            reason = "As a shadow its time is not a caller's."
            return GuardVerdict(guard=self.name, status="fine", reason=reason)
        counts = [above(side, -1)[1] for side in (case.challenger, case.primary)]
        if min(counts) < self.min_requests:
            reason = (
                f"Of {self.min_requests} answers it has given {counts[0]}, and the first variant {counts[1]}."
            )
            return GuardVerdict(guard=self.name, status="waiting", reason=reason, n=counts[0])
        alpha = self.alpha / case.stages / len(self.quantiles) / 2
        found = [self._at(quantile, case, alpha) for quantile in self.quantiles]
        return next((one for one in found if one.status == "bad"), found[0])

    @property
    def _allowed(self) -> str:
        return f"{self.ratio:g} times that" + (f" or {self.slack * 1e3:g} ms more" if self.slack else "")

    def _at(self, quantile: float, case: Case, alpha: float) -> GuardVerdict:
        ours, theirs = case.challenger, case.primary
        name = _NAMES.get(quantile, f"{quantile:.0%} quantile")
        least = _surely_below(theirs, 1 - quantile, alpha)
        if least is None:
            few = f"The first variant has given {sum(theirs.seconds.values())} answers: too few to be sure of its {name}."
            return GuardVerdict(guard=self.name, status="fine", reason=few, n=sum(ours.seconds.values()))
        bound = max(least + math.ceil(math.log2(self.ratio) * STEPS), step_of(upper(least) + self.slack))
        slow, n = above(ours, bound)
        low, high = rate_bounds(slow, n, alpha=alpha)
        mine, other = _quantile(ours, quantile), _quantile(theirs, quantile)
        said = (
            f"Its {name} is {mine * 1e3:.3g} ms, the first variant's {other * 1e3:.3g} ms; {low:.1%} to {high:.1%} of its answers "
            f"surely take over {upper(bound) * 1e3:.3g} ms, {self._allowed}; {1 - quantile:.0%} are accepted."
        )
        return GuardVerdict(
            guard=self.name,
            status="bad" if low > 1 - quantile else "fine",
            reason=said,
            n=n,
            challenger=mine,
            primary=other,
            low=low,
            high=high,
            alpha=self.alpha,
        )


def _surely_below(tally: Tally, share: float, alpha: float) -> int | None:
    """Return the first step above which surely no more than a share of the answers are; None: of none can that be said yet."""
    for step in sorted(tally.seconds):
        slow, n = above(tally, step)
        if rate_bounds(slow, n, alpha=alpha)[1] <= share:
            return step
    return None


def _quantile(tally: Tally, quantile: float) -> float:
    """Return the longest time of the step at which a share of the answers is reached."""
    n, so_far = sum(tally.seconds.values()), 0
    for step in sorted(tally.seconds):
        so_far += tally.seconds[step]
        if so_far >= quantile * n:
            return upper(step)
    return math.nan
