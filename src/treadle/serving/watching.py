"""Those who want to know what becomes of each request: the access log and OpenTelemetry, where they are asked for."""

from __future__ import annotations

from pathlib import Path

from treadle.core.clock import Clock, monotonic
from treadle.core.settings import ServingSettings, variables
from treadle.serving.access_log import AccessLog
from treadle.serving.notes import Notes, Watcher
from treadle.serving.telemetry import Family
from treadle.serving.tracing import Tracing, begin
from treadle.serving.web import Response


class Watching:
    """The watchers of one worker; with none, nothing is noted."""

    def __init__(self) -> None:
        #: Who wants to know.
        self.watchers: list[Watcher] = []
        self._log: AccessLog | None = None
        self._tracing: Tracing | None = None

    def start(self, settings: ServingSettings, root: Path, clock: Clock) -> None:
        """Begin; in the process that answers, as threads do not survive a fork."""
        self._tracing = begin(variables("OTEL_"))
        self._log = AccessLog(settings.access_log, root, clock) if settings.access_log else None
        # A trace that begins here has its id before the line is written.
        self.watchers = [watcher for watcher in (self._tracing, self._log) if watcher]

    def saw(self, notes: Notes, response: Response) -> None:
        """Tell all of them of a request."""
        ended = monotonic()
        for watcher in self.watchers:
            watcher.saw(notes, response, ended)

    def families(self) -> list[Family]:
        """Return what became of the access log, where there is one."""
        if self._log is None:
            return []
        told = "Lines of the access log that were given up: they could not be written, or not fast enough."
        name = "treadle_access_log_dropped"
        return [Family(name, told, "counter", [(f"{name}_total", (), float(self._log.dropped))])]

    def tick(self) -> None:
        """Let be written what is buffered."""
        if self._log:
            self._log.flush()

    def close(self) -> None:
        """Write and send what is left."""
        if self._log:
            self._log.close()
        if self._tracing:
            self._tracing.close()
