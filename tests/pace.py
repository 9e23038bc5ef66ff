"""How much tests ask of the machine: all of it at full size, next to nothing where two slow cores do other things too."""

from __future__ import annotations

import os

#: Whether this is `make faults`, alone on its machine: sizes, rates and times are those that are promised.
FULL = bool(os.environ.get("TREADLE_FULL"))


def within(seconds: float, *, busy: float = 10.0) -> float:
    """Return how long something may take that is promised within some seconds: `busy` times as long outside a full run."""
    return seconds if FULL else busy * seconds
