"""A child process that must not outlive the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PDEATHSIG = 1


def end_with_parent(how: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send this process a signal when the process that started it dies; where it cannot, do nothing."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PDEATHSIG, how, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), how)
