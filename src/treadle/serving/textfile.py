"""Metrics of a process that answers no HTTP: a file that is written anew every few seconds, for node-exporter's textfile collector."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from treadle.serving.telemetry import Family, exposed
from treadle.store.files import replacing

_log = logging.getLogger("treadle.serving")
_ENDING = ".prom"
#: Seconds between two writings.
INTERVAL = 5.0


class Textfile:
    """Writes metrics into a file while a block lasts, and removes it then: a file that stays would go on telling.

    >>> with Textfile(Path("/var/lib/node_exporter/treadle.prom"), observe):            # doctest: +SKIP
    ...     work()
    """

    def __init__(
        self, path: Path, observe: Callable[[], list[Family]], *, interval: float = INTERVAL
    ) -> None:
        """Prepare it; `observe` says what there is to tell, and may fail, which leaves the file as it was.

        Raises:
            MissingExtra: prometheus-client is not installed.
        """
        self._path, self._observe, self._interval = path, observe, interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="treadle-textfile", daemon=True)
        self._failed = False
        #: Times that the file could not be written.
        self.failures = 0
        exposed([])

    def write(self) -> None:
        """Write what there is to tell now.

        Raises:
            OSError: the file cannot be written.
            TreadleError: what is to be told cannot be found out.
        """
        told = exposed([*self._observe(), self._own()])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as file:
            file.write(told)
        self._path.chmod(0o644)  # whoever collects it is another user

    def _own(self) -> Family:
        name, told = "treadle_textfile_failures", "Times that these metrics could not be written."
        return Family(name, told, "counter", [(f"{name}_total", (), float(self.failures))])

    def __enter__(self) -> Textfile:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(self._interval)
        with suppress(OSError):
            self._path.unlink()

    def _run(self) -> None:
        while True:
            try:
                self.write()
                self._failed = False
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go well
                self.failures += 1
                if not self._failed:
                    _log.warning(
                        "metrics are not written to %s: %s: %s", self._path, type(error).__name__, error
                    )
                self._failed = True
            if self._stop.wait(self._interval):
                return
