"""What a guard is, what it judges by, and how one that was stored is made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from treadle.core import plugins
from treadle.core.errors import InvalidDeclaration
from treadle.core.rollout import GuardStatus, GuardVerdict, Stage
from treadle.serving.tallies import Tally

if TYPE_CHECKING:
    import polars as pl

#: What a guard judges by: what servers count, which they report every two seconds, or the log.
Needs = Literal["tallies", "log"]
#: The names of the two sides, in a case's frames.
PRIMARY, CHALLENGER = "primary", "challenger"


class Logged(Protocol):
    """What was logged during a rollout, as frames that are read when they are asked for."""

    def answers(self) -> pl.DataFrame:
        """Return the answers of the two sides, and the shadow's, in the order in which they were given.

        Columns: those of the log, `arm` (`primary` or `challenger`), and `unit`: the subject, or else the request.
        """
        ...

    def known(self) -> pl.DataFrame:
        """Return the answers whose outcome is known: the same columns, `answer` and `outcome`."""
        ...

    def losses(self, metric: str) -> tuple[str, pl.DataFrame]:
        """Return a metric's name and the answers with a known outcome: the same columns, and `loss`, which is bad when large.

        Raises:
            InvalidInput: the metric is none of single rows, or not for this task.
        """
        ...


@dataclass(frozen=True)
class Case:
    """What is known of a challenger and of the first variant in the same time."""

    stage: Stage
    #: What servers counted in this step.
    primary: Tally = field(default_factory=Tally)
    challenger: Tally = field(default_factory=Tally)
    #: Steps of the whole rollout: each of them is judged by itself where a guard needs tallies.
    stages: int = 1
    #: Of the whole rollout.
    logged: Logged | None = None


@runtime_checkable
class Guard(Protocol):
    """A check that rolls a challenger back."""

    @property
    def name(self) -> str:
        """The plug-in's name."""
        ...

    @property
    def needs(self) -> Needs:
        """What it judges by."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values."""
        ...

    def judge(self, case: Case) -> GuardVerdict:
        """Say whether the challenger may go on."""
        ...


def spec_of(guard: Any) -> dict[str, Any]:
    """Return the declaration of a guard that is a dataclass as plain values."""
    found = {one.name: getattr(guard, one.name) for one in fields(guard)}
    return {"guard": guard.name} | {
        name: list(value) if isinstance(value, tuple) else value for name, value in found.items()
    }


def made(spec: Mapping[str, Any]) -> Guard:
    """Make a guard from its declaration.

    Raises:
        NotFound: there is no guard of that name.
    """
    name = str(spec["guard"])
    plugins.load("guard", name)
    kind = plugins.public_class("guard", "".join(part.capitalize() for part in name.split("_")))
    found: Guard = kind(**{key: value for key, value in spec.items() if key != "guard"})
    return found


def check(guard: Any, **found: tuple[object, bool, str]) -> None:
    """Check what a guard declares: value, whether it holds, and what was expected, by field.

    Raises:
        InvalidDeclaration: an argument cannot hold; the message names it.
    """
    for name, (value, holds, expected) in found.items():
        if not holds:
            msg = f"{type(guard).__name__}({name}={value!r}): expected {expected}."
            raise InvalidDeclaration(msg, field=name)


def is_share(value: object, *, open_ended: bool = False) -> bool:
    """Return whether a value is a number from 0 to 1, and neither of the two; `open_ended`: 0 or more."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and (value >= 0 if open_ended else 0 < value < 1)  # type: ignore[operator]


def is_count(value: object) -> bool:
    """Return whether a value is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def too_few(guard: Any, known: int) -> GuardVerdict:
    """Return what a guard on outcomes says that knows fewer than its `min_outcomes`: it waits, if it is one that does."""
    reason = f"Outcomes of {known} of {guard.min_outcomes} subjects or requests of the challenger are known."
    status: GuardStatus = "waiting" if guard.wait else "fine"
    return GuardVerdict(guard=guard.name, status=status, reason=reason, n=known)


def judged(guards: Sequence[Guard], case: Case) -> tuple[GuardVerdict, ...]:
    """Return what guards say; one that fails says that it waits, and why."""
    return tuple(_said(guard, case) for guard in guards)


def _said(guard: Guard, case: Case) -> GuardVerdict:
    try:
        return guard.judge(case)
    except Exception as error:  # noqa: BLE001 - a guard may be foreign code, and the other ones go on
        return GuardVerdict(
            guard=guard.name, status="waiting", reason=f"it failed: {type(error).__name__}: {error}"
        )
