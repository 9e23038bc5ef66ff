"""How often something is read that costs something to read: so seldom that it takes a small share of the time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from treadle.core.clock import monotonic

_T = TypeVar("_T")


class Pace(Generic[_T]):
    """Keeps what was read, and reads it again when that is worth it.

    All that is read of one pace, of however many models, takes at most a share of the time; nothing else depends on it.

    >>> Pace(share=0.05).of("delay", lambda: 3)
    3
    """

    def __init__(self, *, share: float) -> None:
        self._share = share
        #: By what was read: when it was, how many seconds that took, and what was found.
        self._found: dict[Hashable, tuple[float, float, _T]] = {}
        #: Seconds that it takes to read all of it once.
        self._whole = 0.0

    def of(self, key: Hashable, read: Callable[[], _T]) -> _T:
        """Return what is kept, or read it where enough time has passed since it was."""
        begun = monotonic()
        kept = self._found.get(key)
        if kept is not None and begun < kept[0] + self._whole / self._share:
            return kept[2]
        found = read()
        ended = monotonic()
        self._whole += ended - begun - (kept[1] if kept is not None else 0.0)
        self._found[key] = (ended, ended - begun, found)
        return found

    def drop(self, key: Hashable) -> None:
        """Let something be read again the next time."""
        kept = self._found.pop(key, None)
        if kept is not None:
            self._whole -= kept[1]
