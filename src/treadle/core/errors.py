"""Everything that Treadle raises on purpose, each named after what happened.

A message says what came, what was expected and what to do next. No HTTP status and no exit code is
known here: one table at each door maps classes to them.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class TreadleError(Exception):
    """Something that Treadle was asked to do could not be done."""


class InvalidInput(TreadleError):
    """What came in is not what was expected.

    `field` names the place (`rows[3].distance`), where there is one.
    """

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class TooLarge(InvalidInput):
    """A request is larger than the stated limit."""


class WrongMediaType(InvalidInput):
    """A request's body is said to be of a kind that is not read here."""


class InvalidDeclaration(InvalidInput):
    """The user's file declares something that cannot hold."""


class SettingsError(TreadleError):
    """A setting is unknown, has the wrong type, or does not apply."""


class MissingExtra(TreadleError):
    """An optional library is needed and is not installed."""


class NotFound(TreadleError):
    """There is nothing of that name."""


class NotOffered(TreadleError):
    """It works only where the workspace is, and this one is elsewhere."""


class AlreadyExists(TreadleError):
    """There is something of that name already, and it is not the same."""


class Conflict(TreadleError):
    """Somebody else changed it meanwhile. Read it again and repeat the change."""


class LeaseLost(Conflict):
    """Another process took over the work while this one was away."""


class Busy(Conflict):
    """Another process is doing this work now."""


class NoRoom(Busy):
    """As many turns are under way as may be at once."""


class ContractBroken(TreadleError):
    """Rows cannot enter the dataset: the file as a whole does not fit its contract."""


class RuleBroken(TreadleError):
    """New rows as a whole break a rule of their dataset, so none of them was taken in."""


class SourceUnreadable(TreadleError):
    """A source's file or table cannot be read."""


class ContractChanged(TreadleError):
    """The contract no longer describes the rows that are there already."""


class SplitChanged(TreadleError):
    """The declared split would move rows that already have one."""


class StoreUnavailable(TreadleError):
    """A store (ledger, objects or tables) does not answer."""


class StoreFull(StoreUnavailable):
    """No space is left where a store writes."""


class StoreReadOnly(StoreUnavailable):
    """A store may not be written to."""


class SchemaTooNew(TreadleError):
    """The ledger was written by a newer Treadle."""


class DigestMismatch(TreadleError):
    """Stored bytes are not the bytes that were put there."""


class PackageRefused(TreadleError):
    """A model package is damaged, or does not reproduce its golden rows."""


class UnsafeFormat(PackageRefused):
    """A model can only be stored in a format that runs code when it is read."""


class ModelFailed(TreadleError):
    """A loaded model raised, or answered something that is not an answer."""


class FeatureFailed(TreadleError):
    """An on-demand feature raised, or gave something else than it declares, for what a request sent."""


class NotLoaded(TreadleError):
    """An endpoint exists, but no revision of it is loaded yet."""


class ServerUnavailable(TreadleError):
    """A prediction server does not answer, or has as much to do as it takes on."""


class RunFailed(TreadleError):
    """A run ended without a model version. Its record has the traceback and the log."""

    def __init__(self, message: str, *, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback
        #: Id of the run, once it is recorded.
        self.run = ""


class RunCancelled(RunFailed):
    """Somebody cancelled a run while it was under way. Its record says who, and why."""


class RunTimeout(RunFailed):
    """A training function ran longer than its time limit."""


class RunCrashed(RunFailed):
    """The process of a run ended without a word, as by a signal."""


class RunPreempted(RunCrashed):
    """The machine of a run went away, or said that it will. It can go on elsewhere."""


class TrialPruned(TreadleError):
    """A trial of a search was given up, as others were better at the same step. Let it through: it is no failure."""


class DeliveryFailed(TreadleError):
    """A channel did not take a message."""


class MirrorUnavailable(TreadleError):
    """A tracker elsewhere does not answer, or does not let us in. What it was to be told is told later."""

    def __init__(self, message: str, *, is_of_one_request: bool = False, may_have_made: bool = True) -> None:
        super().__init__(message)
        #: Whether it may be what was asked that the tracker stumbled over; the next request may be answered.
        self.is_of_one_request = is_of_one_request
        #: Whether the tracker may have made what it was asked to make, so that it has to be looked for.
        self.may_have_made = may_have_made


class MirrorRefused(TreadleError):
    """A tracker elsewhere answers, and will not take this."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        #: What the tracker calls the reason, as `RESOURCE_DOES_NOT_EXIST`.
        self.code = code


class AuthRequired(TreadleError):
    """Listening off loopback needs a token."""


class Forbidden(TreadleError):
    """A token does not allow what was asked for, or a page of another place asks for it."""


class Misdirected(InvalidInput):
    """A request is for a host that this server is not."""


class TooManyAttempts(TreadleError):
    """Too many wrong tokens came from one address."""


class TooManyRequests(TreadleError):
    """More was asked for within a minute than is accepted."""


class Overloaded(TreadleError):
    """A server has as much to do as it takes on. Send the request again in a moment."""


class DeadlinePassed(TreadleError):
    """Nobody waits for the answer any more: its deadline has passed."""


class CallerGone(TreadleError):
    """Nobody waits for the answer any more: the caller has closed the connection."""


class BodyTooSlow(TreadleError):
    """The body of a request did not come in time."""


def closest(given: str, known: Iterable[str]) -> str:
    """Return a sentence that lists the known names, and the nearest one where it is near.

    >>> closest("fligths", ["flights", "weather"])
    "Available: flights, weather. Did you mean 'flights'?"
    """
    names = sorted(known)
    listed = f"Available: {', '.join(names) or 'none'}."
    near = difflib.get_close_matches(given, names, n=1)
    return f"{listed} Did you mean {near[0]!r}?" if near else listed


def not_found(noun: str, given: str, known: Iterable[str]) -> NotFound:
    """Build the error for a name that does not exist."""
    return NotFound(f"No {noun} named {given!r}. {closest(given, known)}")
