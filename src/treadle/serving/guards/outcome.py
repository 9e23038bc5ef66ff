"""The guard `Outcome`: once outcomes are known, the challenger's answers may not turn out worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.core.rollout import GuardVerdict
from treadle.serving.effects import apart, paired
from treadle.serving.guard import Case, Needs, check, is_count, is_share, spec_of, too_few


@dataclass(frozen=True)
class Outcome:
    """Roll back a challenger whose answers are surely worse on a metric, by more than `margin` of the first variant's value.

    `metric` is one that is a mean over rows, by default the task's own. On rows that a shadow was asked for as well the
    two are compared row by row; else subjects of the one with subjects of the other. The bounds hold at every look: one that
    is not worse is rolled back with a chance of at most `alpha`. Fewer than `min_outcomes` units (subjects, or requests
    without one) of the challenger decide nothing, and the rollout waits for them, unless `wait` is False.

    >>> Outcome("log_loss").margin
    0.01

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    metric: str = ""
    margin: float = 0.01
    alpha: float = 0.01
    min_outcomes: int = 200
    wait: bool = True

    def __post_init__(self) -> None:
        """Check what was declared."""
        check(
            self,
            margin=(self.margin, is_share(self.margin, open_ended=True), "0 or more, as 0.01 for 1 %"),
            alpha=(self.alpha, is_share(self.alpha), "between 0 and 1, as 0.01"),
            min_outcomes=(self.min_outcomes, is_count(self.min_outcomes), "a whole number, 1 or more"),
        )

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "outcome"

    @property
    def needs(self) -> Needs:
        """What it judges by."""
        return "log"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return spec_of(self)

    def judge(self, case: Case) -> GuardVerdict:
        """Compare the losses, where there are pairs in pairs; either comparison may say no."""
        assert case.logged is not None
        metric, rows = case.logged.losses(self.metric)
        found = [
            effect
            for effect in (
                compare(rows, "loss", alpha=self.alpha / 2, planned=self.min_outcomes)
                for compare in (paired, apart)
            )
            if effect is not None and effect.n >= self.min_outcomes
        ]
        if not found:
            return too_few(self, rows.filter(arm="challenger")["unit"].n_unique())
        worst = max(found, key=lambda effect: effect.low - self.margin * abs(effect.primary))
        bad = worst.low > self.margin * abs(worst.primary)
        return GuardVerdict(
            guard=self.name,
            status="bad" if bad else "fine",
            reason=f"Its loss by {metric} is {worst.told()}; {self.margin:.1%} more is accepted.",
            n=worst.n,
            challenger=worst.challenger,
            primary=worst.primary,
            low=worst.low,
            high=worst.high,
            alpha=self.alpha,
        )
