"""The guard `Business`: what the answers earned, as reported with the outcomes, may not become less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from treadle.core.errors import InvalidDeclaration
from treadle.core.rollout import GuardVerdict
from treadle.serving.effects import apart
from treadle.serving.guard import Case, Needs, check, is_count, is_share, spec_of, too_few


@dataclass(frozen=True)
class Business:
    """Roll back a challenger with which a number of the business is surely worse, by more than `margin` of its value.

    `value` is an SQL expression over `outcome`, `prediction`, `probability` and the other columns of the log but the inputs, by default what
    was reported itself: `Business("CASE WHEN prediction = 1 THEN outcome - 0.2 ELSE 0 END")`. Subjects of the
    challenger are compared with subjects of the first variant; a shadow's answers earn nothing. The bounds hold at every
    look: with one that earns as much it rolls back with a chance of at most `alpha`.

    >>> Business(larger_is_better=False).value
    'outcome'

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    value: str = "outcome"
    larger_is_better: bool = True
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
        _expression(self.value)

    @property
    def name(self) -> str:
        """The plug-in's name."""
        return "business"

    @property
    def needs(self) -> Needs:
        """What it judges by."""
        return "log"

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return spec_of(self)

    def judge(self, case: Case) -> GuardVerdict:
        """Compare the means."""
        assert case.logged is not None
        rows = case.logged.known().with_columns(_expression(self.value).alias("value"))
        effect = None
        if not case.stage.shadow or case.stage.share:
            effect = apart(rows, "value", alpha=self.alpha, planned=self.min_outcomes)
        if effect is None or effect.n < self.min_outcomes:
            if case.stage.shadow and not case.stage.share:
                reason = "A shadow's answers earn nothing."
                return GuardVerdict(guard=self.name, status="fine", reason=reason)
            return too_few(self, effect.n if effect else 0)
        least = -effect.high if self.larger_is_better else effect.low
        return GuardVerdict(
            guard=self.name,
            status="bad" if least > self.margin * abs(effect.primary) else "fine",
            reason=f"The mean of {self.value} is {effect.told()}; {self.margin:.1%} worse is accepted.",
            n=effect.n,
            challenger=effect.challenger,
            primary=effect.primary,
            low=effect.low,
            high=effect.high,
            alpha=self.alpha,
        )


def _expression(text: str) -> Any:
    import polars as pl

    try:
        return pl.sql_expr(text)
    except (pl.exceptions.PolarsError, TypeError) as error:
        msg = f"Business(value={text!r}): expected an SQL expression over columns of the log, as 'outcome': {error}"
        raise InvalidDeclaration(msg, field="value") from error
