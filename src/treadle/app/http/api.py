"""The API: operations as JSON, frames as Arrow, bytes by digest, long work as lines that tell how it goes on."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from treadle.app.http import operations
from treadle.app.http.door.asgi import USER, headers_of
from treadle.app.http.door.failures import masked
from treadle.app.http.sent import Sent
from treadle.app.http.streams import Streams
from treadle.app.http.turns import Turns
from treadle.app.http.work import WRONG, Work, Works
from treadle.app.wire import faults
from treadle.app.wire.values import decoded, encoded, frame_bytes
from treadle.app.workspace import Workspace
from treadle.core.errors import InvalidInput, TreadleError
from treadle.core.progress import Progress

_log = logging.getLogger("treadle.ui")
#: How programs ask for values as they are, for a frame as Arrow, and for lines.
EXACT, ARROW, LINES = (
    "application/vnd.treadle+json",
    "application/vnd.apache.arrow.stream",
    "application/x-ndjson",
)
#: Seconds between two looks at work, and after which something is said although nothing happened.
_LOOK, _BEAT = 0.05, 10.0


class Api:
    """The API over whatever workspace a source gives."""

    def __init__(self, source: Callable[[], Workspace], streams: Streams, turns: Turns) -> None:
        self._source, self._works = source, Works()
        self._streams, self._turns = streams, turns

    def routes(self) -> list[Route]:
        """Return its addresses."""
        return [
            Route("/api/v1", self._about, methods=["GET"]),
            Route("/api/v1/bytes/{digest}", self._fetch, methods=["GET"]),
            Route("/api/v1/bytes/{digest}", self._take, methods=["PUT"]),
            Route("/api/v1/work/{name}", self._look, methods=["GET"]),
            Route("/api/v1/{operation}", self._ask, methods=["POST"]),
        ]

    async def _about(self, request: Request) -> Response:
        """Say what is here, and who asks."""
        workspace, user = await run_in_threadpool(self._source), request.scope[USER]
        told = {"treadle": version("treadle"), "project": workspace.settings.project.name}
        return _json({**told, "user": user.name, "role": user.role, "scopes": user.scopes})

    async def _fetch(self, request: Request) -> Response:
        data = await run_in_threadpool(lambda: self._sent().fetch(request.path_params["digest"]))
        shut_in = {
            "content-disposition": "attachment",
            "content-security-policy": "sandbox; default-src 'none'",
        }
        return Response(data, media_type="application/octet-stream", headers=shut_in)

    async def _take(self, request: Request) -> Response:
        sent = await run_in_threadpool(self._sent)
        await sent.take(request.path_params["digest"], request.stream())
        return Response(status_code=204)

    async def _look(self, request: Request) -> Response:
        work = self._works.get(request.path_params["name"], request.scope[USER].name)
        after = request.query_params.get("after", "0")
        return self._told(work, int(after) if after.isdecimal() and len(after) < 10 else 0)

    async def _ask(self, request: Request) -> Response:
        name, user = request.path_params["operation"], request.scope[USER]
        headers, body = headers_of(request.scope), await request.body()
        found = operations.operation(name)
        given = await run_in_threadpool(_read, body, self._sent)
        wanted = headers.get("accept", "")
        if LINES not in wanted:
            return await self._turns.take(user.name, lambda: self._done(name, given, user, wanted))
        await run_in_threadpool(lambda: operations.allowed(self._source(), found, user))

        def do(work: Work) -> dict[str, Any]:
            return self._worked(work, name, given, user)

        work = self._works.start(headers.get("treadle-work", ""), user=user.name, operation=name, do=do)
        return self._told(work, 0)

    def _told(self, work: Work, after: int) -> Response:
        return self._streams.begin(work.user, _lines(work, after), media_type=LINES)

    def _done(self, name: str, given: dict[str, Any], user: Any, wanted: str) -> Response:
        result = operations.perform(self._source(), name, given, user)
        if EXACT in wanted:
            return _json({"result": encoded(result, self._sent().keep)})
        if ARROW in wanted and isinstance(result, pl.DataFrame | pl.LazyFrame):
            return Response(frame_bytes(result.lazy().collect()), media_type=ARROW)
        return Response(msgspec.json.encode(result, enc_hook=_plain), media_type="application/json")

    def _worked(self, work: Work, name: str, given: dict[str, Any], user: Any) -> dict[str, Any]:
        """Do long work in a workspace of its own, which tells how it goes on."""
        try:
            workspace, own = self._apart(work)
            try:
                return {
                    "result": encoded(operations.perform(workspace, name, given, user), self._sent().keep)
                }
            finally:
                if own:
                    workspace.close()
        except TreadleError as error:
            return {"error": faults.told(error)}
        except Exception:  # noqa: BLE001 - the end has to be told, whatever it is
            _log.error("%s failed:\n%s", name, masked(traceback.format_exc()))
            return WRONG

    def _apart(self, progress: Progress) -> tuple[Workspace, bool]:
        apart = getattr(self._source, "apart", None)
        return (self._source(), False) if apart is None else (apart(progress), True)

    def _sent(self) -> Sent:
        return Sent(self._source().root / ".treadle" / "sent")


def _read(body: bytes, sent: Callable[[], Sent]) -> dict[str, Any]:
    try:
        given = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        msg = f"The body is not a JSON object: {error}. Expected the arguments by name."
        raise InvalidInput(msg) from error
    return {
        name: decoded(value, lambda digest: sent().fetch(digest), trusted=False)
        for name, value in given.items()
    }


async def _lines(work: Work, after: int) -> AsyncIterator[bytes]:
    place, quiet = after, 0.0
    yield msgspec.json.encode({"work": work.name}) + b"\n"
    while True:
        while place < len(work.lines):
            yield msgspec.json.encode(work.lines[place]) + b"\n"
            place, quiet = place + 1, 0.0
        if work.ended is not None and place >= len(work.lines):
            return
        await asyncio.sleep(_LOOK)
        quiet += _LOOK
        if quiet >= _BEAT:
            quiet = 0.0
            yield b"{}\n"


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _plain(value: Any) -> Any:
    """Return a value as people read it in JSON: rows as objects."""
    if isinstance(value, pl.LazyFrame):
        value = value.collect()
    if isinstance(value, pl.DataFrame):
        return value.to_dicts()
    if isinstance(value, pl.Series | np.ndarray):
        return value.to_list() if isinstance(value, pl.Series) else value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, TreadleError):
        return faults.told(value)
    return str(value) if isinstance(value, Path) else encoded(value, lambda data: f"{len(data)} bytes")
