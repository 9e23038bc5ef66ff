"""A revision that could not be loaded, and when it is tried again: later each time."""

from __future__ import annotations

import msgspec

from treadle.core.clock import monotonic
from treadle.core.errors import TreadleError
from treadle.core.records import Revision

_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 300.0


class Refusal(msgspec.Struct, frozen=True):
    """A revision that could not be loaded."""

    revision: int
    error: str
    #: Monotonic seconds at which it is tried again.
    again: float
    tries: int


def refused(last: Refusal | None, revision: Revision, error: Exception) -> Refusal:
    """Return the refusal of a revision, after an earlier one of the same endpoint."""
    tries = last.tries + 1 if last and last.revision == revision.revision else 1
    pause = min(_FIRST_PAUSE * 2 ** (tries - 1), _LONGEST_PAUSE)
    said = str(error) if isinstance(error, TreadleError) else f"{type(error).__name__}: {error}"
    text = f"Revision {revision.revision} of endpoint {revision.endpoint} was refused: {said}"
    return Refusal(revision.revision, text, monotonic() + pause, tries)
