"""The guard `Errors`: a challenger may not fail more of its requests than the first variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.core.rollout import GuardVerdict
from treadle.core.sequential import rate_bounds
from treadle.serving.guard import Case, Needs, check, is_count, is_share, spec_of


@dataclass(frozen=True)
class Errors:
    """Roll back a challenger that surely fails more often than the first variant does, by more than `margin`.

    A request fails when the model raises, answers nonsense or takes too long. The bounds of both rates hold at every look,
    so one that fails no more often is rolled back with a chance of at most `alpha` in the whole rollout.

    >>> Errors(margin=0.02).spec()["margin"]
    0.02

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    margin: float = 0.01
    alpha: float = 0.01
    min_requests: int = 20

    def __post_init__(self) -> None:
        """Check what was declared."""
        check(
            self,
            margin=(self.margin, is_share(self.margin, open_ended=True), "0 or more, as 0.01 for one point"),
            alpha=(self.alpha, is_share(self.alpha), "between 0 and 1, as 0.01"),
            min_requests=(self.min_requests, is_count(self.min_requests), "a whole number, 1 or more"),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "errors"

    @property
    def needs(self) -> Needs:
        """What it judges by."""
        return "tallies"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return spec_of(self)

    def judge(self, case: Case) -> GuardVerdict:
        """Compare the two rates."""
        ours, theirs = case.challenger, case.primary
        if ours.given_up:
            reason = f"It is not asked any more: {ours.given_up}"
            return GuardVerdict(guard=self.name, status="bad", reason=reason, n=ours.requests)
        if ours.requests < self.min_requests:
            reason = f"It has had {ours.requests} of {self.min_requests} requests."
            return GuardVerdict(guard=self.name, status="waiting", reason=reason, n=ours.requests)
        alpha = self.alpha / case.stages / 2
        low, high = rate_bounds(ours.failed, ours.requests, alpha=alpha)
        most = rate_bounds(theirs.failed, theirs.requests, alpha=alpha)[1] if theirs.requests else 0.0
        bad = low > most + self.margin
        said = (
            f"It failed {ours.failed} of {ours.requests} requests (surely {low:.2%} to {high:.2%}), the first variant "
            f"{theirs.failed} of {theirs.requests} (at most {most:.2%}); {self.margin:.2%} more are accepted."
        )
        return GuardVerdict(
            guard=self.name,
            status="bad" if bad else "fine",
            reason=said,
            n=ours.requests,
            challenger=ours.failed / ours.requests,
            primary=theirs.failed / theirs.requests if theirs.requests else None,
            low=low,
            high=high,
            alpha=self.alpha,
        )
