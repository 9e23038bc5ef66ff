"""The application: pages of the dashboard, forms and the API over one workspace, behind one door."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from treadle.app.http import operations
from treadle.app.ui.answering import answer
from treadle.app.ui.page import Page, Seen, pages
from treadle.app.ui.routes import routes
from treadle.app.workspace import Workspace
from treadle.core.people import SOMEBODY, User


def application(source: Callable[[], Workspace]) -> Starlette:
    """Return the application over whatever workspace `source` gives."""
    shown = [Route(page.path, partial(_page, source, page)) for page in pages()]
    return Starlette(
        routes=[
            *routes(source),
            *shown,
            Route("/do/{operation}", partial(_form, source), methods=["POST"]),
            Route("/api/v1/{operation}", partial(_api, source), methods=["POST"]),
        ]
    )


def _user(_request: Request) -> User:
    return User(name=SOMEBODY, role="admin")


async def _page(source: Callable[[], Workspace], page: Page, request: Request) -> Response:
    def made() -> Response:
        workspace = source()
        seen = Seen(
            workspace=workspace,
            path=request.path_params,
            query={name: request.query_params.getlist(name)[0] for name in request.query_params},
            all={name: tuple(request.query_params.getlist(name)) for name in request.query_params},
            user=_user(request),
            now=workspace.clock.now(),
            address=str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
        )
        found = answer(page, seen)
        headers = {"Content-Disposition": f'attachment; filename="{found.file}"'} if found.file else {}
        return Response(found.content, media_type=found.media_type, headers=headers)

    return await run_in_threadpool(made)


async def _form(source: Callable[[], Workspace], request: Request) -> Response:
    text = (await request.body()).decode("utf-8", "replace")
    given: dict[str, Any] = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=100))
    back = given.pop("back", "/")
    await run_in_threadpool(_perform, source, request, given)
    return RedirectResponse(back if back.startswith("/") and not back.startswith("//") else "/", 303)


async def _api(source: Callable[[], Workspace], request: Request) -> Response:
    given = msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
    done = await run_in_threadpool(_perform, source, request, given)
    return Response(msgspec.json.encode(done), media_type="application/json")


def _perform(source: Callable[[], Workspace], request: Request, given: dict[str, Any]) -> Any:
    return operations.perform(source(), request.path_params["operation"], given, _user(request))
