"""The process beside a server's workers that ships their logs: it is started with the server, and again where it dies.

Workers hold the other end of its standard input as the process that keeps them does. So it ends after the last of them,
however they end, and none of them has to be told.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from treadle.core.clock import monotonic

_log = logging.getLogger("treadle.serving")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: Seconds after which one is taken for one that lives on.
_STEADY = 30.0


class ShippingProcess:
    """A child process that ships, from the beginning of a block to after its end."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], patience: float = 12.0
    ) -> None:
        """Prepare it; `patience`: seconds that its last round may take before it is killed."""
        self._command, self._environment, self._patience = command, environment, patience
        self._process: subprocess.Popen[bytes] | None = None
        self._ends = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._look_after, name="treadle-shipping", daemon=True)

    def __enter__(self) -> Self:
        self._start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it ship what is left."""
        self._ends.set()
        self._let_end()
        self._thread.join(self._patience)
        process = self._process
        if process is not None and process.poll() is None:
            _log.warning(
                "what is left of the prediction log stays on this machine, as shipping it takes too long"
            )
            self._over = True
            process.kill()

    def _start(self) -> None:
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                self._command, env=self._environment, stdin=subprocess.PIPE
            )
        except OSError as error:
            _log.error("the process that ships the prediction log cannot be started: %s", error)
            self._process = None

    def _let_end(self) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()

    def _look_after(self) -> None:
        """Start it again when it ends, with a growing pause where it ends again and again."""
        in_row, last = 0, False
        while True:
            begun = monotonic()
            code = self._process.wait() if self._process else None
            if last or self._over or (self._ends.is_set() and code == 0):
                return
            in_row = 1 if monotonic() - begun > _STEADY else in_row + 1
            pause = 0.0 if in_row == 1 else min(_FIRST_PAUSE * 2 ** (in_row - 2), _LONGEST_PAUSE)
            _log.error("the process that ships the prediction log ended by itself (%s)", code)
            last = self._ends.wait(pause)  # then one more ships what is left
            self._let_end()
            self._start()
            if self._ends.is_set():
                self._let_end()
