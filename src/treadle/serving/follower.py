"""Keeps a dataplane at the newest revisions, in the background and when asked, and reports what it has loaded."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress

import msgspec

from treadle.core.clock import Clock, monotonic
from treadle.core.errors import PackageRefused, StoreUnavailable, not_found
from treadle.core.ids import new_id
from treadle.core.records import ServerState
from treadle.serving.counting import Counting
from treadle.serving.dataplane import Dataplane
from treadle.serving.endpoints import Endpoints
from treadle.serving.lookout import Lookout
from treadle.store.ledger import processes

_log = logging.getLogger("treadle.serving")

#: Seconds between reports of a server whose state does not change.
HEARTBEAT = 20.0


def server_name() -> str:
    """Return a name for this process: host, process id and a part that no other has."""
    return f"{socket.gethostname()}-{processes.this().pid}-{new_id()[-8:]}"


class Follower:
    """Follows the endpoints of a ledger for one server process."""

    def __init__(
        self,
        plane: Dataplane,
        endpoints: Endpoints,
        *,
        server: str,
        clock: Clock,
        poll_interval: float = 0.5,
        siblings: bool = False,
        lookout: Lookout | None = None,
        counting: Counting | None = None,
    ) -> None:
        """Prepare it; with `siblings`, other processes answer on the same address.

        `lookout` looks after rollouts, `counting` writes down how many requests were answered.
        """
        self._plane, self._endpoints = plane, endpoints
        self._server, self._clock, self._interval = server, clock, poll_interval
        self._siblings, self._lookout = siblings, lookout
        self.counting = counting
        self._process = msgspec.json.encode(processes.this()).decode()
        self._reported: dict[str, tuple[int, int | None]] = {}
        self._spoke = 0.0
        self._stop, self._tried = threading.Event(), threading.Event()
        self._reporting = threading.Lock()
        self._thread: threading.Thread | None = None
        #: What keeps the ledger from being read; None: it is. Loaded endpoints go on answering.
        self.problem: StoreUnavailable | None = None
        #: Whether all endpoints have been looked at, and others have been told.
        self.settled = False

    def start(self, *, wait: float = 0.0) -> None:
        """Start the thread, and wait up to so many seconds for its first look, which loads all endpoints."""
        self._thread = threading.Thread(target=self._run, name="treadle-follower", daemon=True)
        self._thread.start()
        self._tried.wait(wait)

    def stop(self, *, timeout: float = 5.0) -> None:
        """Stop following, and take this server off the list of servers."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout)
        with suppress(StoreUnavailable):
            if self.counting:
                self.counting.look(force=True)
            self._endpoints.forget(self._server)

    def refresh(self, endpoint: str, *, timeout: float = 30.0) -> None:
        """Return when the newest revision of an endpoint answers, in this process and in those beside it.

        Raises:
            NotFound: there is no such endpoint.
            PackageRefused: the revision cannot be loaded; the message says why. The old one goes on.
            Busy: a process beside this one had not loaded it after `timeout` seconds.
            StoreUnavailable: the ledger does not answer.
        """
        self.look(force=True)
        refused = self._plane.refused.get(endpoint)
        if refused:
            raise PackageRefused(refused.error)
        loaded = self._plane.loaded.get(endpoint)
        if loaded is None:
            raise not_found("endpoint", endpoint, self._plane.loaded)
        if self._siblings:
            self._endpoints.wait(endpoint, loaded.revision.revision, timeout=timeout)

    def _run(self) -> None:
        swept = False
        while not self._stop.is_set():
            try:
                self.look(force=False)
                if not swept:
                    self._endpoints.sweep()
                    swept = True
            except StoreUnavailable:
                pass  # it is logged, and tried again
            except Exception:  # noqa: BLE001 - a record that cannot be read here ends neither loading nor guarding
                _log.exception("looking for new revisions failed")
            self._tried.set()
            self._stop.wait(self._interval)

    def look(self, *, force: bool = False) -> None:
        """Load what has changed, and report it.

        Raises:
            StoreUnavailable: the ledger does not answer; what is loaded stays.
        """
        try:
            self._plane.refresh(force=force)
            self._report()
            if self._lookout:
                self._lookout.look()
            if self.counting:
                self.counting.look()
        except StoreUnavailable as error:
            if self.problem is None:
                _log.warning("loaded endpoints go on, but new revisions cannot be read: %s", error)
            self.problem = error
            raise
        finally:
            self.settled = self._plane.looked
        self.problem = None

    def _report(self) -> None:
        """Report endpoints whose state has changed, and all of them where nothing was said for a while."""
        with self._reporting:
            beat = monotonic() - self._spoke > HEARTBEAT
            for name in {*self._plane.loaded, *self._plane.refused}:
                state = self._state(name)
                key = (state.revision, state.refused)
                if beat or self._reported.get(name) != key:
                    if state.refused and self._reported.get(name) != key:
                        _log.warning("%s", state.error)
                    self._endpoints.report(state)
                    self._reported[name] = key
            if beat:
                self._spoke = monotonic()

    def _state(self, name: str) -> ServerState:
        loaded, refused = self._plane.loaded.get(name), self._plane.refused.get(name)
        return ServerState(
            server=self._server,
            process=self._process,
            endpoint=name,
            revision=loaded.revision.revision if loaded else 0,
            refused=refused.revision if refused else None,
            error=refused.error if refused else "",
            at=self._clock.now(),
        )
