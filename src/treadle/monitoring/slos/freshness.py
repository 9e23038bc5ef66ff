"""For a share of the time, data, a model or a feature view is no older than promised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidInput
from treadle.monitoring.slo import SLO


@dataclass(frozen=True, kw_only=True)
class Freshness(SLO):
    """Time in which the newest row of a dataset or feature view, or what a champion has learnt from, is at most `within` old.

    Exactly one of `data`, `model` and `features` is given.

    >>> Freshness(data="flights", within="2h", objective=0.99).subject
    'dataset:flights'
    """

    within: str
    data: Any = None
    model: Any = None
    features: Any = None
    kind: ClassVar[str] = "freshness"
    counts_requests: ClassVar[bool] = False

    @property
    def subject(self) -> str:
        """What it is about."""
        for noun, argument in (("dataset", "data"), ("model", "model"), ("view", "features")):
            if getattr(self, argument) is not None:
                return f"{noun}:{self.named(argument, getattr(self, argument))}"
        return ""

    @property
    def said(self) -> str:
        """What is promised."""
        what = "what the champion has learnt from" if self.model is not None else "the newest row"
        return f"{what} is at most {self.within} old"

    @property
    def limit(self) -> timedelta:
        """The greatest age."""
        return parse_span(self.within)

    def check(self) -> None:
        """Check what it is about, and the age."""
        given = [name for name in ("data", "model", "features") if getattr(self, name) is not None]
        if len(given) != 1:
            told = " and ".join(given) or "nothing"
            self.refuse("about", f"{told}; expected one of data=, model= and features=.")
        try:
            limit = parse_span(self.within)
        except (InvalidInput, TypeError) as error:
            self.refuse("within", str(error))
        if limit <= timedelta(0):
            self.refuse("within", f"{self.within!r}; expected an age, as '2h'.")
