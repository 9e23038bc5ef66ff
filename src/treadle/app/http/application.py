"""The application: pages of the dashboard, forms and the API over one workspace, behind one door."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from treadle.app.http import looking, oidc, operations, signing
from treadle.app.http.api import Api
from treadle.app.http.back import local
from treadle.app.http.door.asgi import BROWSER, USER
from treadle.app.http.door.bodies import Bodies
from treadle.app.http.door.failures import Failures
from treadle.app.http.door.forgery import Browser, Forgery
from treadle.app.http.door.guard import Door, Guard
from treadle.app.http.door.log import Log
from treadle.app.http.door.origin import Origin, Proxies
from treadle.app.http.door.pace import Attempts, Pace
from treadle.app.http.door.places import Places
from treadle.app.http.door.policy import Policy
from treadle.app.http.notices import Notices
from treadle.app.http.streams import Streams
from treadle.app.http.turns import Turns
from treadle.app.ui.kept import Keeping
from treadle.app.ui.page import pages
from treadle.app.ui.routes import routes
from treadle.app.workspace import Workspace
from treadle.core.clock import SystemClock
from treadle.core.errors import InvalidInput, TreadleError
from treadle.core.settings import UiSettings
from treadle.loop.team import Team
from treadle.serving.access_log import AccessLog

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
                Route(page.path, partial(looking.shown, source, (notices, keeping), page), methods=["GET"])
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
        exception_handlers={404: partial(looking.missing, source)},
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
