"""Notice of the end: the system says (SIGTERM) that this process will be stopped soon, and training code can save first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Status with which a process ends that saved its state after such a notice; `EX_TEMPFAIL` of sysexits.h.
STATUS = 75


class Notice:
    """Whether the end of this process has been announced.

    Nobody listens until `listen`: a training that saves no checkpoints ends at once, as programs do.
    """

    def __init__(self) -> None:
        self._given = threading.Event()
        self.listens = False

    @property
    def given(self) -> bool:
        """Whether the process will be stopped soon."""
        return self._given.is_set()

    def give(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Announce the end; as a handler of signals, too."""
        self._given.set()

    def listen(self) -> None:
        """Take SIGTERM as the notice from now on; in another thread than the main one, nothing is changed."""
        if self.listens or threading.current_thread() is not threading.main_thread():
            return
        self.listens = True
        signal.signal(signal.SIGTERM, self.give)


@contextmanager
def notices() -> Iterator[Notice]:
    """Let a block take notice; afterwards SIGTERM means what it meant before."""
    before = signal.getsignal(signal.SIGTERM)
    notice = Notice()
    try:
        yield notice
    finally:
        if notice.listens:
            signal.signal(signal.SIGTERM, before)
