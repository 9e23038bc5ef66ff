"""The prediction server as an ASGI application, to be mounted in FastAPI, Starlette, Django or anything that speaks ASGI."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from treadle.core.errors import CallerGone
from treadle.serving.server import Application

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class _Scope(msgspec.Struct, frozen=True):
    """A request as the application sees it: what is called a scope."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    client: str
    scheme: str
    proto: str = "http"
    #: The path below which the application is mounted.
    root: str = ""


class _Incoming:
    """The body of an ASGI request, piece by piece."""

    __slots__ = ("_is_over", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False

    async def __call__(self) -> bytes:
        """Return all of it."""
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Return its pieces.

        Raises:
            CallerGone: the caller went away before all of it had come.
        """
        while not self._is_over:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._is_over = True
                msg = "The caller went away before the body was there."
                raise CallerGone(msg)
            self._is_over = not message.get("more_body", False)
            yield message.get("body", b"")

    async def client_disconnect(self) -> None:
        """Return when the caller has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


class Asgi:
    """A prediction server inside another one, with all its paths below where it is mounted.

    It begins with the host's lifespan, or with its first request where the host has none for what is mounted in it, and
    then loads models and follows revisions as `treadle serve` does. It has one worker: a host with several processes has one in each.
    """

    def __init__(self, make: Callable[[], Application]) -> None:
        """Prepare it; `make` puts the application together, in the process that serves."""
        self._make = make
        self._application: Application | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Future[Application] | None = None

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or follow the host's lifespan."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    @asynccontextmanager
    async def lifespan(self, app: Any = None) -> AsyncIterator[None]:  # noqa: ARG002 - what hosts call it with
        """Begin and end with a host: `FastAPI(lifespan=predictions.lifespan)`."""
        await self._started()
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop following, and write what is left of the log."""
        application, self._application, self._starting = self._application, None, None
        if application is not None:
            atexit.unregister(application.stop)
            await asyncio.get_running_loop().run_in_executor(None, application.stop)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self._started()
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _started(self) -> Application:
        if self._application is not None:
            return self._application
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> Application:
        loop = asyncio.get_running_loop()
        try:
            application = await loop.run_in_executor(None, self._make)
            await application.begin(loop)
        except BaseException:
            self._starting = None
            raise
        atexit.register(application.stop)
        self._application = application
        return application

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        application = await self._started()
        asked = _scope(scope)
        found = await application.respond(asked, _Incoming(receive))
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found.headers]
        if all(name != b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(found.body)).encode()))
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if asked.method == "HEAD" else found.body})


def _scope(scope: Mapping[str, Any]) -> _Scope:
    """Return what the application has to know, with the path below where it is mounted."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    client = scope.get("client")
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers[name.decode("latin-1").lower()] = value.decode("latin-1")
    return _Scope(
        method=scope["method"],
        path=path or "/",
        query_string=scope.get("query_string", b"").decode("latin-1"),
        headers=headers,
        client=f"{client[0]}:{client[1]}" if client else "",
        scheme=scope.get("scheme", "http"),
        root=root,
    )
