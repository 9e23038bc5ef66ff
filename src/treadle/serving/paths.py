"""Every method and path that a server answers, and what answers each: the plug-in protocols, outcomes, pages, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from treadle.core import plugins
from treadle.core.clock import Clock
from treadle.core.errors import InvalidInput, StoreUnavailable
from treadle.core.settings import ServingSettings
from treadle.serving import openapi, outcomes
from treadle.serving.access import Access
from treadle.serving.dataplane import Dataplane
from treadle.serving.follower import Follower
from treadle.serving.form import page as page_of_forms
from treadle.serving.jobs.routes import JobRoutes
from treadle.serving.keeping import Keeper
from treadle.serving.log import PredictionLog
from treadle.serving.operations import Operations
from treadle.serving.predicting import Predicting
from treadle.serving.protocols.rows import describe
from treadle.serving.routing import Route, Routes
from treadle.serving.threads import Threads
from treadle.serving.trainings import TrainingRoutes
from treadle.serving.web import Request, Response, refuse_plainly, reply


class Paths:
    """The paths of one worker."""

    def __init__(
        self,
        plane: Dataplane,
        log: PredictionLog,
        *,
        follower: Follower,
        access: Access,
        operations: Operations,
        predicting: Predicting,
        threads: Threads,
        settings: ServingSettings,
        clock: Clock,
        jobs: JobRoutes | None,
        trainings: TrainingRoutes | None,
    ) -> None:
        """Take what answers."""
        self._plane, self._log, self._follower, self._access = plane, log, follower, access
        self._keeper = Keeper(log)
        self._predicting, self._threads = predicting, threads
        self._settings, self._clock = settings, clock
        own = (*operations.routes(), *self._own(), *self._pages(), *self._spoken())
        apart = (*(jobs.routes(plane) if jobs else ()), *(trainings.routes(access) if trainings else ()))
        self.routes = Routes([*own, *apart])

    def default_endpoint(self, query: Mapping[str, str]) -> str:
        """Return the endpoint that a request means which names none in its path.

        Raises:
            InvalidInput: it may be one of several.
        """
        named = query.get("endpoint") or self._settings.default_endpoint
        if named:
            return named
        known = sorted({*self._plane.loaded, *self._plane.refused})
        if len(known) == 1 or not self._plane.looked:
            return known[0] if known else ""
        msg = (
            f"The request names no endpoint, and there are {len(known)}: {', '.join(known[:20]) or 'none'}. Add "
            "?endpoint=<name> to the address, or set serving.default_endpoint."
        )
        raise InvalidInput(msg, field="endpoint")

    def _own(self) -> list[Route]:
        own = partial(Route, refuse=refuse_plainly)
        return [
            own("GET", "/openapi.json", handler=self._openapi),
            own("POST", "/v1/endpoints/{endpoint}/refresh", handler=self._refresh, scope="admin"),
            own("POST", "/v1/endpoints/{endpoint}/outcomes", handler=self._outcomes, scope="outcome"),
        ]

    def _pages(self) -> list[Route]:
        """Return the routes of the form page."""
        shown = page_of_forms.pages(secured=lambda: self._access.guarded)
        return [
            Route(
                "GET",
                path,
                refuse=refuse_plainly,
                handler=partial(self._page, page),
                public=path in page_of_forms.PUBLIC,
            )
            for path, page in shown.items()
        ]

    def _spoken(self) -> list[Route]:
        """Return the routes of all protocols."""
        routes = []
        for name in plugins.available("protocol"):
            protocol = plugins.load("protocol", name)
            speak = partial(Route, refuse=protocol.refuse)
            routes += [
                speak(
                    "POST",
                    path,
                    handler=partial(self._predicting.predict, protocol),
                    protocol=name,
                    scope="predict",
                    media_types=protocol.MEDIA_TYPES,
                )
                for path in protocol.PREDICT
            ]
            routes += [
                speak("GET", path, handler=partial(self._page, page), public=path in protocol.PUBLIC)
                for path, page in protocol.pages().items()
            ]
        return routes

    async def _outcomes(self, request: Request) -> Response:
        endpoint = request.names["endpoint"]
        reader = self._plane.reader(endpoint)[2]
        entry = outcomes.parse(
            request.body,
            endpoint=endpoint,
            at=self._clock.now(),
            max_rows=self._settings.max_rows,
            signature=reader.signature,
        )
        if not await self._keeper.keep(entry):
            msg = "The log takes no outcomes now, because its buffer is full. Send them again in a moment."
            raise self._log.problem or StoreUnavailable(msg)
        return reply({"id": entry.request_id, "accepted": len(entry.values)})

    async def _refresh(self, request: Request) -> Response:
        endpoint = request.names["endpoint"]
        await self._threads.run(self._follower.refresh, endpoint)
        return reply(describe(self._plane, endpoint))

    async def _page(self, page: Callable[[Dataplane, Request], Response], request: Request) -> Response:
        return page(self._plane, request)

    async def _openapi(self, request: Request) -> Response:
        secured = self._access.guarded
        return reply(openapi.document(self._plane, self.routes, secured=secured, root=request.root))


def with_doors() -> list[str]:
    """Return the protocols that are not spoken over HTTP/1: they listen for themselves."""
    names = plugins.available("protocol")
    return [name for name in names if hasattr(plugins.load("protocol", name), "door")]
