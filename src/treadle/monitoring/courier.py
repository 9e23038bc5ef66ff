"""Delivers in a thread of its own: what hangs there holds up nobody else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from treadle.core.errors import TreadleError

#: Seconds between looks at what has become due, and seconds that the last message may take when all ends.
_EVERY, _LAST = 2.0, 10.0
_log = logging.getLogger("treadle.monitoring")


class Courier:
    """Does rounds: when woken, and every few seconds."""

    def __init__(self, round_: Callable[[], int], *, every: float = _EVERY) -> None:
        """Take what sends all that is due."""
        self._round, self._every = round_, every
        self._woken, self._ended = threading.Event(), threading.Event()

    def wake(self) -> None:
        """Begin a round soon."""
        self._woken.set()

    @contextmanager
    def running(self) -> Iterator[Courier]:
        """Do rounds as long as the block lasts, and one more at its end."""
        thread = threading.Thread(target=self._run, name="treadle-courier", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._woken.set()
            thread.join(_LAST)

    def _run(self) -> None:
        is_away = False
        while True:
            self._woken.clear()
            last = self._ended.is_set()
            try:
                self._round()
                is_away = False
            except TreadleError as error:
                if not is_away:
                    _log.warning("alerts wait, as they cannot be looked at: %s", error)
                is_away = True
            except Exception:  # noqa: BLE001 - it is logged, and the next round goes on
                _log.exception("delivering alerts failed; it is tried again")
            if last:
                return
            self._woken.wait(self._every)
