"""What operators ask a worker: whether it lives, whether it is ready, and what it has counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from treadle.core.settings import ServingSettings
from treadle.serving.access import Access
from treadle.serving.admission import Admission
from treadle.serving.dataplane import Dataplane
from treadle.serving.draining import Draining
from treadle.serving.follower import Follower
from treadle.serving.log import PredictionLog
from treadle.serving.observed import observed
from treadle.serving.routing import Route
from treadle.serving.seats import Seat
from treadle.serving.siblings import Siblings
from treadle.serving.telemetry import Family, Telemetry
from treadle.serving.web import Request, Response, refuse_plainly, reply

_TEXT = ("content-type", "text/plain; version=0.0.4; charset=utf-8")
_TICK = 1.0


class Operations:
    """The state of one worker, for those who watch it."""

    def __init__(
        self,
        plane: Dataplane,
        log: PredictionLog,
        *,
        follower: Follower,
        access: Access,
        admission: Admission,
        draining: Draining,
        settings: ServingSettings,
    ) -> None:
        """Watch these parts."""
        self._plane, self._log, self._follower = plane, log, follower
        self._access, self._admission, self._draining = access, admission, draining
        self._settings = settings
        self.telemetry = Telemetry()
        if follower.counting:
            follower.counting.source = self.telemetry.counts
        #: This worker's place among others, where it has some.
        self.seat: Seat | None = None
        self._siblings: Siblings | None = None
        #: Called every second, beside what is done here.
        self.ticking: list[Callable[[], object]] = []
        #: What else there is to be told of.
        self.observing: list[Callable[[], list[Family]]] = []

    def routes(self) -> list[Route]:
        """Return what is answered here."""
        own = partial(Route, refuse=refuse_plainly)
        is_open = self._settings.metrics == "public"
        return [
            own("GET", "/livez", handler=self._live, public=True),
            own("GET", "/readyz", handler=self._ready, public=True),
            own("GET", "/v2/health/live", handler=self._live, public=True),
            own("GET", "/v2/health/ready", handler=self._ready, public=True),
            own("GET", "/metrics", handler=self._metrics, scope="metrics", public=is_open),
        ]

    def tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do what is done every second: look at the file of tokens, and tell other workers what this one counted."""
        loop.call_later(_TICK, self.tick, loop)  # first, so that it goes on whatever happens below
        self._access.look()
        for also in self.ticking:
            also()
        if self._settings.workers > 1:
            with suppress(OSError):
                self._shared()

    async def _live(self, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        return reply({"live": True})

    async def _ready(self, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        problems = []
        if not self._follower.settled:
            problems.append("the endpoints are being loaded")
        problems += [f"endpoint {name} has no revision that can be loaded" for name in self._plane.unanswered]
        if self._log.problem:
            problems.append("the prediction log cannot be written")
        if self._draining.on:
            problems.append("the server is ending")
        problems += self.seat.board.problems if self.seat else []
        return reply({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    async def _metrics(self, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        try:
            families = self._shared() if self._settings.workers > 1 else self._families()
        except OSError:  # the disk is full: the others are not told of, but this one is
            families = self._families()
        return Response(body=self.telemetry.text(families), headers=(_TEXT,))

    def _families(self) -> list[Family]:
        counted = self.telemetry.families(self._plane.loaded, self._plane.refused, self._log)
        board = self.seat.board if self.seat else None
        return [
            *counted,
            *(family for also in self.observing for family in also()),
            *observed(
                self._admission, self._log, self._plane, board=board, follows=self._follower.problem is None
            ),
        ]

    def _shared(self) -> list[Family]:
        """Return the metrics of all workers, and leave this one's for the others: so no total goes back from one to the next."""
        if self._siblings is None:
            folder = self._log.folder.parent.parent / "metrics"
            self._siblings = Siblings(folder, self.seat.index if self.seat else 0)
        return self._siblings.shared(self._families())
