"""What a browser is shown: a page, or in the same frame why there is none."""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from treadle.app.http.door.asgi import BROWSER, USER
from treadle.app.http.door.bare import looks
from treadle.app.http.door.forgery import token_of
from treadle.app.http.notices import Notices
from treadle.app.ui.answering import answer
from treadle.app.ui.frame import failed
from treadle.app.ui.kept import Keeping
from treadle.app.ui.page import Page, Seen
from treadle.app.workspace import Workspace
from treadle.core.errors import Forbidden, NotFound, TreadleError
from treadle.serving.web import status_of


async def shown(
    source: Callable[[], Workspace], told: tuple[Notices, Keeping], page: Page, request: Request
) -> Response:
    """Answer with a page; a browser is shown an error in the page's place."""
    notices, keeping = told

    def made() -> Response:
        workspace = source()
        notice, went_well = notices.take(request.scope[BROWSER])
        seen = _seen(workspace, request, kept=keeping.of(workspace), notice=notice, went_well=went_well)
        try:
            return _made(page, seen)
        except TreadleError as error:
            if not looks(request.scope):
                raise
            return _failed(seen, error)

    return await run_in_threadpool(made)


async def missing(source: Callable[[], Workspace], request: Request, _: Exception) -> Response:
    """Answer that there is nothing at an address.

    Raises:
        NotFound: always, where a program asks.
    """
    error = NotFound(f"There is no page at {request.url.path[:200]!r}.")
    if not looks(request.scope):
        raise error
    return await run_in_threadpool(lambda: _failed(_seen(source(), request), error))


def _seen(workspace: Workspace, request: Request, **more: object) -> Seen:
    query = request.query_params
    return Seen(
        workspace=workspace,
        path=request.path_params,
        query={name: query.getlist(name)[0] for name in query},
        all={name: tuple(query.getlist(name)) for name in query},
        user=request.scope[USER],
        now=workspace.clock.now(),
        csrf=token_of(request.scope),
        address=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        **more,  # type: ignore[arg-type]  # fields of Seen, which it checks
    )


def _made(page: Page, seen: Seen) -> Response:
    if not seen.user.may(page.role):
        msg = f"{seen.user.name} is {seen.user.role} here. Expected {page.role} to see this page."
        raise Forbidden(msg)
    found = answer(page, seen)
    headers = {"Content-Disposition": f'attachment; filename="{found.file}"'} if found.file else {}
    return Response(found.content, media_type=found.media_type, headers=headers)


def _failed(seen: Seen, error: TreadleError) -> Response:
    status = status_of(error)
    title = {404: "Nothing is here", 403: "Not for you"}.get(status, "This cannot be shown")
    return HTMLResponse(failed(seen, title=title, said=str(error)), status_code=status)
