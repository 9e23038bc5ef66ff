"""What a promise (an SLO) says, whatever it is about: how much of what, over which period."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from treadle.core.clock import parse_span
from treadle.core.counts import Counts
from treadle.core.errors import InvalidDeclaration, InvalidInput

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_SHORTEST, _LONGEST = timedelta(days=1), timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class SLO:
    """A share of requests, or of the time, that is to be good over a period that ends now.

    What may be bad is the *error budget*: of an objective of 0.999 over 30 days, a thousandth of the requests, or 43 minutes.
    """

    #: As 0.999; more than 0 and less than 1.
    objective: float
    period: str = "30d"
    #: By default what it is about and its kind, as `delay-availability`.
    name: str = ""
    #: Requests in a window below which it raises no alert: of three requests one that fails says little.
    least: int = 10

    #: The plug-in's name.
    kind: ClassVar[str]
    #: Whether good requests are counted, or good time.
    counts_requests: ClassVar[bool]

    @property
    def subject(self) -> str:
        """What it is about, as `endpoint:delay`."""
        raise NotImplementedError

    @property
    def said(self) -> str:
        """What is promised, in words, without the share."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Its name."""
        return self.name or f"{self.subject.partition(':')[2]}-{self.kind}"

    @property
    def span(self) -> timedelta:
        """The period."""
        return parse_span(self.period)

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return 1 - self.objective

    def good(self, counts: Counts) -> tuple[float, float]:
        """Return how many of the counted requests were good, and of how many; only of one that counts requests."""
        raise NotImplementedError

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        return {
            "slo": self.label,
            "kind": self.kind,
            "subject": self.subject,
            "objective": self.objective,
            "period": self.period,
        }

    def __post_init__(self) -> None:
        """Check what was declared.

        Raises:
            InvalidDeclaration: it cannot hold; the message names the argument.
        """
        self._check_numbers()
        self.check()
        if not _NAME.fullmatch(self.label):
            self.refuse(
                "name", f"{self.label!r}: a name holds letters, digits, '-', '_' and '.' only, 100 at most."
            )

    def check(self) -> None:
        """Check what only this kind declares."""

    def _check_numbers(self) -> None:
        given: Any = self.objective
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1:
            more = (
                " A promise without exception has no budget, and is broken for ever by one error."
                if given == 1
                else ""
            )
            self.refuse("objective", f"{given!r}; expected a share between 0 and 1, as 0.999.{more}")
        try:
            span = parse_span(self.period)
        except (InvalidInput, TypeError) as error:
            self.refuse("period", str(error))
        if not _SHORTEST <= span <= _LONGEST:
            self.refuse("period", f"{self.period!r}; expected from 1d to 90d, as '30d'.")
        least: Any = self.least
        if isinstance(least, bool) or not isinstance(least, int) or least < 0:
            self.refuse("least", f"{least!r}; expected a number of requests, as 10.")

    def refuse(self, argument: str, said: str) -> Any:
        """Raise what says that an argument cannot be meant.

        Raises:
            InvalidDeclaration: always.
        """
        msg = f"td.slos.{type(self).__name__}: {argument} is {said}"
        raise InvalidDeclaration(msg, field=argument)

    def named(self, argument: str, given: Any) -> str:
        """Return the name of what was given: a declared thing, or its name.

        Raises:
            InvalidDeclaration: it has no name.
        """
        name = given if isinstance(given, str) else getattr(given, "name", None)
        if not isinstance(name, str) or not name:
            self.refuse(argument, f"{given!r}; expected a name, or what was declared under it.")
        return str(name)
