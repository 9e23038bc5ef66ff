"""What is to be learnt from live traffic that two variants share, declared before anybody looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidDeclaration

Method = Literal["always", "looks", "once"]


@dataclass(frozen=True)
class OnlineMetric:
    """A number of each answer whose mean counts, as an SQL expression over the columns of the log but the inputs, and `outcome`.

    As a guard of an experiment it may be worse by `margin`, a share of the control's value. Where `outcome` stands in it, answers
    without one do not count yet.

    >>> OnlineMetric("CASE WHEN prediction = 1 THEN outcome - 0.2 ELSE 0 END", name="margin").larger_is_better
    True

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    value: str
    larger_is_better: bool = True
    margin: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        """Check what was declared."""
        if not self.value:
            msg = "OnlineMetric(value=''): expected an SQL expression over columns of the log, as 'latency' or 'outcome'."
            raise InvalidDeclaration(msg, field="value")
        if not self.margin >= 0:
            msg = f"OnlineMetric(margin={self.margin!r}): expected 0 or more, as 0.05 for 5 %."
            raise InvalidDeclaration(msg, field="margin")

    @property
    def title(self) -> str:
        """How it is called."""
        return self.name or self.value


@dataclass(frozen=True, kw_only=True)
class Design:
    """How an experiment is judged.

    `method` says when one may look: `always` (whenever one likes; each look holds), `looks` (`looks` of them, after equal parts of
    `planned` units) or `once` (when all `planned` units are known). The fewer looks, the fewer units are needed for the same
    effect: about half as many for one as for always. A difference below `effect`, a share of the control's value, is not worth finding;
    `planned` units find one as large with the chance `power`. `alpha` is the chance to call equal sides different.

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    method: Method = "always"
    effect: float = 0.02
    alpha: float = 0.05
    power: float = 0.8
    planned: int | None = None
    looks: int = 5

    def __post_init__(self) -> None:
        """Check what was declared."""
        if self.method not in {"always", "looks", "once"}:
            msg = f"Experiment(method={self.method!r}): expected 'always', 'looks' or 'once'."
            raise InvalidDeclaration(msg, field="method")
        for name in ("alpha", "power"):
            if not 0 < getattr(self, name) < 1:
                msg = f"Experiment({name}={getattr(self, name)!r}): expected a number between 0 and 1."
                raise InvalidDeclaration(msg, field=name)
        if not self.effect > 0:
            msg = f"Experiment(effect={self.effect!r}): expected more than 0, as 0.02 for 2 % of the control's value."
            raise InvalidDeclaration(msg, field="effect")
        if not 1 <= self.looks <= 50:
            msg = f"Experiment(looks={self.looks!r}): expected 1 to 50."
            raise InvalidDeclaration(msg, field="looks")
        if self.planned is None and self.method != "always":
            msg = f"Experiment(method={self.method!r}) needs `planned`, the units (subjects, or requests without one) of both sides."
            raise InvalidDeclaration(msg, field="planned")
        if self.planned is not None and self.planned < 4:
            msg = f"Experiment(planned={self.planned!r}): expected 4 units or more."
            raise InvalidDeclaration(msg, field="planned")

    @property
    def fractions(self) -> tuple[float, ...]:
        """The parts of `planned` after which the planned looks are; none where each look holds."""
        count = {"always": 0, "once": 1, "looks": self.looks}[self.method]
        return tuple(number / count for number in range(1, count + 1))


@dataclass(frozen=True)
class Experiment:
    """An experiment on an endpoint whose requests two variants share.

    `metric` is what decides: a metric of the model's task that is a mean over rows (by default the task's own), or a
    `td.OnlineMetric`. None of the `guards` may surely become worse by more than its margin (those of the task: not at
    all). `segments` are inputs by whose values the effect is shown, too. `control` and `treatment` are names of variants, by
    default the first two that answer. Answers count that are older than `mature`: where good outcomes are known earlier than bad ones, say how
    long the last ones take. How it is judged says the `design`.

    >>> Experiment("newer-weather", endpoint="delay", metric="log_loss", segments=["carrier"]).design.method
    'always'

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """

    name: str
    endpoint: str
    metric: str | OnlineMetric = ""
    guards: Sequence[str | OnlineMetric] = ()
    segments: Sequence[str] = ()
    control: str = ""
    treatment: str = ""
    mature: str = "0s"
    design: Design = Design()

    def __post_init__(self) -> None:
        """Check what was declared."""
        parse_span(self.mature)
        for name in ("name", "endpoint"):
            if not getattr(self, name):
                msg = f"Experiment({name}=''): expected a name."
                raise InvalidDeclaration(msg, field=name)
        if self.control and self.control == self.treatment:
            msg = f"Experiment {self.name}: control and treatment are both {self.control!r}. Expected two variants."
            raise InvalidDeclaration(msg, field="treatment")
        for name in ("guards", "segments"):
            if isinstance(getattr(self, name), str):
                msg = f"Experiment({name}={getattr(self, name)!r}): expected a list, as [{getattr(self, name)!r}]."
                raise InvalidDeclaration(msg, field=name)
