"""Addresses beside the pages: files that they load, and the stream that tells when something has changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from treadle.app.http.door.asgi import USER
from treadle.app.http.streams import Streams
from treadle.app.ui import assets, live
from treadle.app.ui.kept import Keeping
from treadle.app.workspace import Workspace
from treadle.core.errors import NotFound

_FOR_EVER = "public, max-age=31536000, immutable"


def routes(source: Callable[[], Workspace], keeping: Keeping, streams: Streams) -> list[Route]:
    """Return the routes over whatever workspace `source` gives."""
    return [
        Route("/static/{name}", _static),
        Route("/live", partial(_live, source, (keeping, streams))),
        Route("/live/runs/{run}", partial(_live, source, (keeping, streams))),
    ]


def _static(request: Request) -> Response:
    try:
        found = assets.asset(request.path_params["name"])
    except NotFound as error:
        return Response(str(error), status_code=404, media_type="text/plain")
    headers = {"Cache-Control": _FOR_EVER, "Content-Type": found.media_type}
    return Response(found.content, headers=headers)


async def _live(source: Callable[[], Workspace], kept: tuple[Keeping, Streams], request: Request) -> Response:
    keeping, streams = kept

    async def told() -> AsyncIterator[str]:
        run = request.path_params.get("run")
        look = (lambda: live.pulse_of_run(source(), run)) if run else (lambda: live.pulse(source(), keeping))
        pulse = partial(run_in_threadpool, look)
        async for event in live.events(pulse):
            yield event

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    user = request.scope[USER].name
    return streams.begin(user, told(), media_type="text/event-stream", headers=headers)
