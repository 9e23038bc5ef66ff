"""Stops asking a store that does not answer, and asks again now and then until it does."""

from __future__ import annotations

from treadle.core.clock import monotonic
from treadle.core.errors import StoreUnavailable


class Breaker:
    """Lets everybody through until `failures` calls in a row have failed, then one call each `pause` seconds.

    From the first failure on there is one call each `first` seconds, so that those who wait behind it do not each wait
    for a store that is gone.

    >>> breaker = Breaker(failures=1, pause=60.0)
    >>> breaker.failed(StoreUnavailable("it is gone"))
    >>> breaker.is_open, breaker.passed(), breaker.is_open
    (True, None, False)
    """

    def __init__(self, *, failures: int = 3, pause: float = 1.0, first: float = 0.01) -> None:
        self._limit, self._pause, self._first = failures, pause, first
        self._failures = 0
        self._asks_again_at = 0.0
        self._last: StoreUnavailable | None = None
        #: Whether a call failed since the last that did not.
        self.is_troubled = False

    @property
    def is_open(self) -> bool:
        """Whether calls are held back, after as many failures as it takes."""
        return self._failures >= self._limit

    def wait(self) -> None:
        """Fail at once, or let the one call through whose turn it is; the others go on failing until it has passed.

        Raises:
            StoreUnavailable: as the last call that failed.
        """
        self.check()
        if self._last is not None:
            self._asks_again_at = monotonic() + (self._pause if self.is_open else self._first)

    def check(self) -> None:
        """Fail at once if `wait` would; nobody's turn is taken.

        Raises:
            StoreUnavailable: as the last call that failed.
        """
        last = self._last
        if last is not None and monotonic() < self._asks_again_at:
            # A fresh error: raising the same one again would make its traceback longer each time.
            raise type(last)(str(last)) from last.__cause__

    def failed(self, error: StoreUnavailable) -> None:
        """Note that a call failed."""
        self._failures += 1
        self.is_troubled = True
        self._last, self._asks_again_at = error, monotonic() + (self._pause if self.is_open else self._first)

    def passed(self) -> None:
        """Note that a call did not fail."""
        self._failures, self._last, self.is_troubled = 0, None, False
