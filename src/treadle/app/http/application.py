"""The application: pages of the dashboard, forms and the API over one workspace, behind one door."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from treadle.app.http import oidc, operations, signing
from treadle.app.http.api import Api
from treadle.app.http.back import local
from treadle.app.http.door.asgi import BROWSER, USER
from treadle.app.http.door.bodies import Bodies
from treadle.app.http.door.failures import Failures
from treadle.app.http.door.forgery import Browser, Forgery, token_of
from treadle.app.http.door.guard import Door, Guard
from treadle.app.http.door.log import Log
from treadle.app.http.door.origin import Origin, Proxies
from treadle.app.http.door.pace import Attempts, Pace
from treadle.app.http.door.places import Places
from treadle.app.http.door.policy import Policy
from treadle.app.http.notices import Notices
from treadle.app.http.streams import Streams
from treadle.app.http.turns import Turns
from treadle.app.ui.answering import answer
from treadle.app.ui.frame import failed
from treadle.app.ui.kept import Keeping
from treadle.app.ui.page import Page, Seen, pages
from treadle.app.ui.routes import routes
from treadle.app.workspace import Workspace
from treadle.core.clock import SystemClock
from treadle.core.errors import Forbidden, InvalidInput, NotFound, TreadleError
from treadle.core.settings import UiSettings
from treadle.loop.team import Team
from treadle.serving.access_log import AccessLog
from treadle.serving.web import status_of

#: Below this, bytes are sent and fetched by their digest.
BYTES = "/api/v1/bytes/"
NOT_FOUND = 404


def application(
    source: Callable[[], Workspace], settings: UiSettings | None = None, *, log: AccessLog | None = None
) -> Starlette:
    """Return the application over whatever workspace `source` gives.

    Raises:
        SettingsError: names or proxies in the settings cannot be meant.
    """
    found = settings or UiSettings()

    def team() -> Team:
        return source().team

    door, notices, keeping = Door(found, team, Attempts()), Notices(), Keeping()
    streams, turns = Streams(), Turns()
    return Starlette(
        routes=[
            *routes(source, keeping, streams),
            *(
                Route(page.path, partial(_page, source, (notices, keeping), page), methods=["GET"])
                for page in pages()
            ),
            *signing.routes(door),
            *oidc.routes(door),
            Route("/livez", _alive, methods=["GET"]),
            Route("/readyz", _alive, methods=["GET"]),
            Route("/do/{operation}", partial(_form, source, (notices, turns)), methods=["POST"]),
            *Api(source, streams, turns).routes(),
        ],
        middleware=_door(found, door, log),
        exception_handlers={NOT_FOUND: partial(_nowhere, source, (notices, keeping))},
    )


def _door(found: UiSettings, door: Door, log: AccessLog | None) -> list[Middleware]:
    """Return the checks in the order in which a request passes them."""
    proxies = Proxies(found.proxies)
    return [
        Middleware(Log, log=log, clock=SystemClock()),
        Middleware(Policy),
        Middleware(Origin, proxies=proxies),
        Middleware(Pace, rate=found.rate),
        Middleware(Places, hosts=found.hosts),
        Middleware(
            Bodies,
            most=found.max_body,
            most_sent=found.max_upload,
            sent_below=BYTES,
            pause=found.body_timeout,
        ),
        Middleware(Browser, port=found.port, session=door.cookie),
        Middleware(Guard, door=door, page=signing.SignInPage(door)),
        Middleware(Forgery),
        Middleware(Failures),
    ]


async def _alive(_: Request) -> Response:
    return PlainTextResponse("ok")


async def _page(
    source: Callable[[], Workspace], told: tuple[Notices, Keeping], page: Page, request: Request
) -> Response:
    def made() -> Response:
        seen = _seen(source(), told, request)
        try:
            if not seen.user.may(page.role):
                msg = f"{seen.user.name} is {seen.user.role} here. Expected {page.role} to see this page."
                raise Forbidden(msg)
            found = answer(page, seen)
        except TreadleError as error:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            return _failed(seen, error)
        headers = {"Content-Disposition": f'attachment; filename="{found.file}"'} if found.file else {}
        return Response(found.content, media_type=found.media_type, headers=headers)

    return await run_in_threadpool(made)


async def _nowhere(
    source: Callable[[], Workspace], told: tuple[Notices, Keeping], request: Request, _: Exception
) -> Response:
    """Answer a request for an address that there is not."""
    error = NotFound(f"There is no page at {request.url.path[:200]!r}.")
    if "text/html" not in request.headers.get("accept", ""):
        raise error
    return await run_in_threadpool(lambda: _failed(_seen(source(), told, request), error))


def _failed(seen: Seen, error: TreadleError) -> Response:
    status = status_of(error)
    title = "There is no such page" if status == NOT_FOUND else "This page cannot be shown"
    return HTMLResponse(failed(seen, title=title, said=str(error)), status_code=status)


def _seen(workspace: Workspace, told: tuple[Notices, Keeping], request: Request) -> Seen:
    notices, keeping = told
    query, (notice, went_well) = request.query_params, notices.take(request.scope[BROWSER])
    return Seen(
        workspace=workspace,
        path=request.path_params,
        query={name: query.getlist(name)[0] for name in query},
        all={name: tuple(query.getlist(name)) for name in query},
        user=request.scope[USER],
        now=workspace.clock.now(),
        kept=keeping.of(workspace),
        csrf=token_of(request.scope),
        notice=notice,
        went_well=went_well,
        address=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    )


async def _form(source: Callable[[], Workspace], kept: tuple[Notices, Turns], request: Request) -> Response:
    notices, turns = kept
    text = (await request.body()).decode("utf-8", "replace")
    try:
        given: dict[str, Any] = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
    except ValueError as error:
        msg = "The form has more than 100 fields."
        raise InvalidInput(msg) from error
    back = local(given.pop("back", "/"))
    given.pop("csrf", None)
    try:
        done = await turns.take(request.scope[USER].name, lambda: _perform(source, request, given))
    except TreadleError as error:
        notices.leave(request.scope[BROWSER], str(error), went_well=False)
    else:
        text = f"It is shown this once: {done}" if isinstance(done, str) else "Done."
        notices.leave(request.scope[BROWSER], text, went_well=True)
    return RedirectResponse(back, 303)


def _perform(source: Callable[[], Workspace], request: Request, given: dict[str, Any]) -> Any:
    return operations.perform(source(), request.path_params["operation"], given, request.scope[USER])
