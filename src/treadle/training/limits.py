"""Time limits for code that runs in this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from treadle.core.clock import monotonic, span_text
from treadle.core.errors import RunTimeout


@contextmanager
def limit(seconds: float | None) -> Iterator[None]:
    """Interrupt the block after some seconds; a timer that ran before goes on afterwards.

    Only Python code in the main thread can be interrupted; in another thread there is no limit.

    Raises:
        RunTimeout: it took longer.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        msg = (
            f"The training function was interrupted after {span_text(seconds)}, its time limit. If it needs longer, "
            "raise the limit: timeout= in @td.model, or compute.timeout in treadle.toml."
        )
        raise RunTimeout(msg)

    before = signal.signal(signal.SIGALRM, interrupt)
    begun = monotonic()
    rest, interval = signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if rest:
            signal.setitimer(signal.ITIMER_REAL, max(rest - (monotonic() - begun), 1e-6), interval)
