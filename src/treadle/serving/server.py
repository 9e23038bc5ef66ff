"""The prediction server: one object that is asked for every request."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine, Mapping
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from treadle.core import plugins
from treadle.core.clock import Clock, monotonic
from treadle.core.errors import TreadleError
from treadle.core.settings import ServingSettings
from treadle.serving import body
from treadle.serving.access import Access
from treadle.serving.admission import Admission, Ticket
from treadle.serving.courier import Courier
from treadle.serving.dataplane import Dataplane
from treadle.serving.draining import Draining, end_with_parent
from treadle.serving.explanations import Explainer, Explanations
from treadle.serving.follower import Follower
from treadle.serving.http_door import HttpDoor
from treadle.serving.jobs.routes import JobRoutes
from treadle.serving.log import PredictionLog
from treadle.serving.notes import Notes
from treadle.serving.operations import Operations
from treadle.serving.origins import Mounted, Origins
from treadle.serving.paths import Paths, with_doors
from treadle.serving.predicting import Predicting
from treadle.serving.routing import Found, Unmatched
from treadle.serving.seats import Seat
from treadle.serving.threads import Threads
from treadle.serving.trainings import TrainingRoutes
from treadle.serving.watching import Watching
from treadle.serving.web import (
    Request,
    Response,
    hints,
    query_of,
    refusal_of,
    status_of,
)

_log = logging.getLogger("treadle.serving")

_FIRST_LOOK = 10.0
#: New objects after which the collector looks at them: those of some hundred requests, which are nearly all gone by then.
_YOUNG = 10_000
#: Addresses whose route is remembered.
_REMEMBERED = 1024

_NO_QUERY: Mapping[str, str] = {}


class Application:
    """Answers HTTP requests from a dataplane, writing each answer to the log."""

    def __init__(
        self,
        plane: Dataplane,
        log: PredictionLog,
        *,
        follower: Follower,
        shipping: Courier | None,
        settings: ServingSettings,
        clock: Clock,
        access: Access,
        root: Path = Path(),
        jobs: JobRoutes | None = None,
        trainings: TrainingRoutes | None = None,
        explainer: Explainer | None = None,
    ) -> None:
        """Put the parts together, for `run` to start them; without `shipping` another process ships the log."""
        self._plane, self._log, self._follower, self._shipping = plane, log, follower, shipping
        self._settings, self._clock = settings, clock
        self._access, self._root, self._watching = access, root, Watching()
        self._place: Origins | Mounted = Origins(settings.hosts)
        self._admission = Admission(
            most=settings.max_in_flight,
            most_bytes=settings.max_bytes_in_flight,
            timeout=settings.timeout,
            body_timeout=settings.body_timeout,
        )
        self._threads = Threads()
        self._found: dict[tuple[str, str, str], Found] = {}
        self._draining = Draining(wait=settings.drain_wait)
        self._operations = Operations(
            plane,
            log,
            follower=follower,
            access=access,
            admission=self._admission,
            draining=self._draining,
            settings=settings,
        )
        self._telemetry = self._operations.telemetry
        predicting = Predicting(
            plane,
            log,
            admission=self._admission,
            telemetry=self._telemetry,
            explanations=Explanations(explainer, max_rows=settings.explain_rows),
            threads=self._threads,
        )
        self._together, self._apart = predicting.together, [one for one in (jobs, trainings) if one]
        self._paths = Paths(
            plane,
            log,
            follower=follower,
            access=access,
            operations=self._operations,
            predicting=predicting,
            threads=self._threads,
            settings=settings,
            clock=clock,
            jobs=jobs,
            trainings=trainings,
        )
        #: Every method and path that is answered.
        self.routes = self._paths.routes
        made = (plugins.load("protocol", name).door for name in with_doors())
        self._door = HttpDoor(self.respond, settings, together=self._together)
        #: Where requests come in that do not come over HTTP.
        self._doors = [door for make in made if (door := make(self.respond, settings)) is not None]

    def take(self, seat: Seat) -> None:
        """Be one of several workers, which share a socket and know of each other."""
        self._operations.seat = seat

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Answer what comes over the shared socket, in a process of its own, until that is told to end."""
        self._open(loop)
        try:
            loop.run_until_complete(self._draining.over())
        finally:
            self._draining.on = True
            loop.run_until_complete(self._door.finish())
            for door in self._doors:
                loop.run_until_complete(door.close())
            self.stop()

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads before connections are taken.

        So a worker that begins later than others does not answer before others know what it has loaded.
        """
        end_with_parent()
        self._begin(loop)
        self._follower.start(wait=_FIRST_LOOK)
        gc.freeze()  # libraries and models are for good: the collector need not look at them with each request
        gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
        seat = self._operations.seat
        self._draining.install(loop, seat.listener.fileno() if seat else None)
        for door in self._doors:
            loop.run_until_complete(door.start())
            self._draining.doors.append(door)
        if seat:
            self._draining.shared = self._door
            self._door.start(loop, seat.listener)
            seat.board.became_ready(seat.index)

    async def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads inside another server, whose process, signals, ports and rules for pages are left alone."""
        self._place = Mounted()
        self._begin(loop)
        await self._threads.run(partial(self._follower.start, wait=_FIRST_LOOK))

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._threads.start(loop)
        self._admission.start(loop)
        self._watching.start(self._settings, self._root, self._clock)
        self._operations.ticking.append(self._watching.tick)
        self._operations.observing.append(self._watching.families)
        self._log.start()
        if self._shipping:
            self._shipping.start()
        self._operations.tick(loop)

    def stop(self) -> None:
        """Stop the threads, and write and ship what is left."""
        self._draining.on = True
        self._follower.stop()
        self._log.close()
        if self._shipping:
            self._shipping.stop()
        self._together.close()
        self._watching.close()
        for one in self._apart:
            one.close()

    def respond(self, scope: Any, protocol: Any) -> Coroutine[Any, Any, Response]:
        """Answer a request: `scope` is what is known of it, `protocol` what its body is read from."""
        if not self._watching.watchers:
            return self._respond(scope, protocol, None)
        return self._noted(scope, protocol)

    async def _noted(self, scope: Any, protocol: Any) -> Response:
        notes = Notes(scope, monotonic())
        response = await self._respond(scope, protocol, notes)
        self._watching.saw(notes, response)
        return response

    async def _respond(self, scope: Any, protocol: Any, notes: Notes | None) -> Response:
        received = monotonic()
        ticket, sent = None, scope.headers
        asked = scope.method, scope.path, sent.get("content-type", "")
        found = self._found.get(asked) or self._find(*asked)
        names = found.names
        headers: tuple[tuple[str, str], ...] = ()
        try:
            self._place.check(sent, guarded=self._access.guarded)
            if self._access.guarded and not found.public:
                wanted = found.route.scope if found.route else "any"
                self._access.check(wanted, sent.get("authorization", ""), scope.client)
            route = found.chosen()
            if notes:
                notes.route, notes.endpoint = route.path, names.get("endpoint", "")
            query = query_of(asking) if (asking := scope.query_string) else _NO_QUERY
            if route.protocol and "endpoint" not in names:
                names = {**names, "endpoint": self._paths.default_endpoint(query)}
            data, deadline = b"", inf
            if asked[0] == "POST":
                ticket = self._admission.enter(protocol, sent, received)
                data, deadline = await self._read(ticket, sent), ticket.deadline
            # By place: so many names cost a microsecond.
            root = self._place.below(scope)
            request = Request(asked[0], asked[1], sent, received, data, names, query, deadline, root, notes)
            return await route.handler(request)  # type: ignore[no-any-return]
        except Unmatched as error:
            status, message, field = 405 if error.allowed else 404, str(error), None
            headers = (("allow", ", ".join(error.allowed)),) if error.allowed else ()
        except TreadleError as error:
            status, message, field = refusal_of(error)
            if ticket is None and asked[0] == "POST":
                await body.discard(protocol, sent)
        except asyncio.CancelledError:
            problem = self._admission.why(ticket) if ticket else None
            if problem is None:
                raise
            status, message, field = status_of(problem), str(problem), None
            headers = (("connection", "close"),)
        except Exception as error:  # noqa: BLE001 - the server goes on, whatever one request runs into
            _log.exception("request failed: %s %s", scope.method, scope.path)
            status, message, field = 500, f"The server failed: {type(error).__name__}. See its log.", None
        finally:
            if ticket is not None:
                self._admission.leave(ticket)
        self._telemetry.refused(
            names.get("endpoint", "") if names.get("endpoint") in self._plane.loaded else "", status
        )
        headers = (("content-type", "application/json"), *headers, *hints(status))
        return Response(status=status, body=found.refuse(message, field), headers=headers)

    def _find(self, method: str, path: str, content_type: str) -> Found:
        """Look a route up, and remember it for the next request like it."""
        found = self.routes.find(method, path, content_type)
        if found.route is not None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[method, path, content_type] = found
        return found

    async def _read(self, ticket: Ticket, headers: Mapping[str, str]) -> bytes:
        whole: bytes | None = getattr(ticket.protocol, "whole", None)
        if whole is not None and "content-encoding" not in headers and len(whole) <= self._settings.max_body:
            ticket.reading = False
            return whole
        self._together.reading += 1
        try:
            data = await body.read(ticket.protocol, headers, limit=self._settings.max_body, meter=ticket)
        finally:
            self._together.reading -= 1
        ticket.reading = False
        return data
