"""The prediction server: one object that Granian calls for every request, and the command that runs it."""

from __future__ import annotations

import asyncio
import ctypes
import hmac
import ipaddress
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from treadle.core import plugins
from treadle.core.clock import Clock, monotonic
from treadle.core.errors import AuthRequired, InvalidInput, StoreUnavailable, TreadleError
from treadle.core.optional import require
from treadle.core.settings import ServingSettings
from treadle.serving import body, outcomes
from treadle.serving.dataplane import Answer, Dataplane
from treadle.serving.entries import Entry
from treadle.serving.follower import Follower
from treadle.serving.log import PredictionLog
from treadle.serving.protocols.rows import describe
from treadle.serving.shipping import ShippingThread
from treadle.serving.telemetry import Family, Telemetry, publish, published
from treadle.serving.web import Request, Response, Route, refuse_plainly, reply, status_of

_log = logging.getLogger("treadle.serving")

#: Requests with more rows, or larger bodies, are answered in a thread, so that they hold up nobody.
INLINE_ROWS, INLINE_BYTES = 256, 64 * 1024
_THREADS = 4
_TEXT = ("content-type", "text/plain; version=0.0.4; charset=utf-8")
_PDEATHSIG = 1
_PUBLISH_EVERY = 1.0
_FIRST_LOOK = 10.0

Handler = Callable[[Request], Awaitable[Response]]


class Application:
    """Answers HTTP requests from a dataplane, writing each answer to the log; an RSGI application."""

    def __init__(
        self,
        plane: Dataplane,
        log: PredictionLog,
        *,
        follower: Follower,
        shipping: ShippingThread | None,
        settings: ServingSettings,
        clock: Clock,
    ) -> None:
        """Put the parts together; nothing is started before the server calls `__rsgi_init__`."""
        self._plane, self._log, self._follower, self._shipping = plane, log, follower, shipping
        self._settings, self._clock = settings, clock
        self._telemetry = Telemetry()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="treadle-large")
        self._draining = False
        self._loop: asyncio.AbstractEventLoop | None = None
        #: Every method and path that is answered.
        self.routes = tuple(self._all_routes())

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads; called by the server in its worker process, before it takes connections.

        So a worker that begins later than others does not answer before others know what it has loaded.
        """
        _end_with_parent()
        self._loop = loop
        self._log.start()
        self._follower.start(wait=_FIRST_LOOK)
        if self._shipping:
            self._shipping.start()
        if self._settings.workers > 1:
            self._publish(loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write and ship what is left; called by the server when the last request is answered."""
        self._draining = True
        self._follower.stop()
        self._log.close()
        if self._shipping:
            self._shipping.stop()
        self._pool.shutdown(wait=False)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        if scope.proto != "http":
            protocol.close(403)
            return
        response = await self._respond(scope, protocol)
        if scope.method == "HEAD":
            protocol.response_empty(response.status, list(response.headers))
        else:
            protocol.response_bytes(response.status, list(response.headers), response.body)

    async def _respond(self, scope: Any, protocol: Any) -> Response:
        received = monotonic()
        route, names = self._find(scope.method, scope.path)
        refuse = route.refuse if route else refuse_plainly
        try:
            if route is None or not route.public:
                self._authorise(scope.headers.get("authorization", ""))
            if route is None:
                return self._unknown(scope.method, scope.path)
            data = b""
            if scope.method == "POST":
                body.check_media_type(scope.headers.get("content-type", ""))
                data = await body.read(protocol, scope.headers, limit=self._settings.max_body)
            request = Request(
                method=scope.method,
                path=scope.path,
                headers=scope.headers,
                body=data,
                names=names,
                received=received,
            )
            return await route.handler(request)  # type: ignore[no-any-return]
        except TreadleError as error:
            status, message, field = status_of(error), str(error), getattr(error, "field", None)
        except Exception as error:  # noqa: BLE001 - the server goes on, whatever one request runs into
            _log.exception("request failed: %s %s", scope.method, scope.path)
            status, message, field = 500, f"The server failed: {type(error).__name__}. See its log.", None
        self._telemetry.refused(
            names.get("endpoint", "") if names.get("endpoint") in self._plane.loaded else "", status
        )
        headers = (("content-type", "application/json"), *_hints(status))
        return Response(status=status, body=refuse(message, field), headers=headers)

    def _all_routes(self) -> list[Route]:
        own = partial(Route, refuse=refuse_plainly)
        routes = [
            own("GET", "/livez", handler=self._live, public=True),
            own("GET", "/readyz", handler=self._ready, public=True),
            own("GET", "/v2/health/live", handler=self._live, public=True),
            own("GET", "/v2/health/ready", handler=self._ready, public=True),
            own("GET", "/metrics", handler=self._metrics),
            own("POST", "/v1/endpoints/{endpoint}/refresh", handler=self._refresh),
            own("POST", "/v1/endpoints/{endpoint}/outcomes", handler=self._outcomes),
        ]
        for name in plugins.available("protocol"):
            protocol = plugins.load("protocol", name)
            speak = partial(Route, refuse=protocol.refuse)
            routes += [
                speak("POST", path, handler=partial(self._predict, protocol)) for path in protocol.PREDICT
            ]
            routes += [
                speak("GET", path, handler=partial(self._page, page))
                for path, page in protocol.pages().items()
            ]
        return routes

    def _find(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        parts = tuple(path.strip("/").split("/"))
        wanted = "GET" if method == "HEAD" else method
        for route in self.routes:
            if route.method == wanted:
                names = route.match(parts)
                if names is not None:
                    return route, names
        return None, {}

    def _unknown(self, method: str, path: str) -> Response:
        parts = tuple(path.strip("/").split("/"))
        allowed = sorted({route.method for route in self.routes if route.match(parts) is not None})
        if allowed:
            text = f"{method} is not possible here. Expected {' or '.join(allowed)}."
            headers = (("content-type", "application/json"), ("allow", ", ".join(allowed)))
            return Response(status=405, body=refuse_plainly(text, None), headers=headers)
        text = (
            f"Nothing is at {path[:200]}. Predictions are asked for at {' and '.join(self._predict_paths())}."
        )
        return Response(status=404, body=refuse_plainly(text, None))

    def _predict_paths(self) -> list[str]:
        return [route.path for route in self.routes if getattr(route.handler, "func", None) == self._predict]

    def _authorise(self, given: str) -> None:
        token = self._settings.token
        if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            msg = "The token is missing or wrong. Send the header 'Authorization: Bearer <token>' (setting serving.token)."
            raise AuthRequired(msg)

    async def _predict(self, protocol: Any, request: Request) -> Response:
        endpoint = request.names["endpoint"]
        if len(request.body) > INLINE_BYTES:
            answer, response = await self._in_thread(self._answer, protocol, endpoint, request)
        else:
            call = protocol.parse(request)
            prepared = self._plane.prepare(endpoint, call)
            if prepared.batch.rows > INLINE_ROWS:
                answer = await self._in_thread(self._plane.run, prepared)
            else:
                answer = self._plane.run(prepared)
            response = protocol.render(answer, call)
        kept: Response = response
        await self._keep(answer.entry())
        self._telemetry.answered(answer, monotonic() - request.received)
        return kept

    def _answer(self, protocol: Any, endpoint: str, request: Request) -> tuple[Answer, Response]:
        call = protocol.parse(request)
        answer = self._plane.predict(endpoint, call)
        return answer, protocol.render(answer, call)

    async def _keep(self, entry: Entry) -> bool:
        """Log an entry: on the disk before this returns if the log is `sync`; False: it was dropped."""
        if self._log.durability != "sync":
            return self._log.put(entry)
        assert self._loop is not None
        kept: asyncio.Future[None] = self._loop.create_future()
        self._log.commit(entry, partial(_settle, self._loop, kept))
        await kept
        return True

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
        if not await self._keep(entry):
            msg = "The log takes no outcomes now, because its buffer is full. Send them again in a moment."
            raise self._log.problem or StoreUnavailable(msg)
        return reply({"id": entry.request_id, "accepted": len(entry.values)})

    async def _refresh(self, request: Request) -> Response:
        endpoint = request.names["endpoint"]
        await self._in_thread(self._follower.refresh, endpoint)
        return reply(describe(self._plane, endpoint))

    async def _page(self, page: Callable[[Dataplane, Request], Response], request: Request) -> Response:
        return page(self._plane, request)

    async def _live(self, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        return reply({"live": True})

    async def _ready(self, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        problems = []
        if not self._follower.settled:
            problems.append("the endpoints are being loaded")
        problems += [f"endpoint {name} has no revision that can be loaded" for name in self._plane.unanswered]
        if self._log.problem:
            problems.append("the prediction log cannot be written")
        if self._draining:
            problems.append("the server is ending")
        return reply({"ready": not problems, "problems": problems}, status=503 if problems else 200)

    async def _metrics(self, request: Request) -> Response:  # noqa: ARG002 - handlers have one shape
        families = self._families()
        if self._settings.workers > 1:
            own = self._metrics_file()
            families += published(path for path in own.parent.parent.glob(f"*/{own.name}") if path != own)
        return Response(body=self._telemetry.text(families), headers=(_TEXT,))

    def _families(self) -> list[Family]:
        return self._telemetry.families(self._plane.loaded, self._plane.refused, self._log)

    def _metrics_file(self) -> Path:
        """Return where workers of one parent leave their metrics for each other."""
        return self._log.folder / f"metrics-{os.getppid()}.json"

    def _publish(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(OSError):
            publish(self._families(), self._metrics_file())
        loop.call_later(_PUBLISH_EVERY, self._publish, loop)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        assert self._loop is not None
        return await self._loop.run_in_executor(self._pool, function, *arguments)


def check_address(settings: ServingSettings) -> None:
    """Make sure that a server which others can reach asks for a token.

    Raises:
        AuthRequired: the address is not loopback, and there is no token.
    """
    if settings.token or _is_loopback(settings.host):
        return
    msg = (
        f"The server would listen on {settings.host!r}, where others can reach it, without a token. Set serving.token "
        '(or TREADLE_SERVING__TOKEN_FILE), or serving.host = "127.0.0.1".'
    )
    raise AuthRequired(msg)


def serve(settings: ServingSettings, *, factory: Callable[[], Application]) -> None:
    """Serve until SIGTERM or SIGINT; requests that have begun are answered first.

    `factory` is called in each worker process; it must be a function of a module, or a `functools.partial` of one.

    Raises:
        AuthRequired: as for `check_address`.
        InvalidInput: the address is taken or not of this machine.
        MissingExtra: Granian is not installed.
    """
    check_address(settings)
    granian = require("granian", extra="serve")
    check_free(settings)
    server = granian.Granian(
        "treadle",
        address=settings.host,
        port=settings.port,
        interface=granian.constants.Interfaces.RSGI,
        workers=settings.workers,
        http=granian.constants.HTTPModes.http1,
        websockets=False,
        log_level=granian.log.LogLevels.warning,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
    )
    server.serve(target_loader=factory, wrap_loader=False)


def check_free(settings: ServingSettings) -> None:
    """Make sure, before the server tries, that an address can be listened at.

    Raises:
        InvalidInput: it is taken, or not of this machine.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            msg = f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Set serving.port to another one."
            raise InvalidInput(msg, field="serving.port") from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hints(status: int) -> tuple[tuple[str, str], ...]:
    if status == 401:
        return (("www-authenticate", "Bearer"),)
    return (("retry-after", "1"),) if status in {503, 507} else ()


def _settle(
    loop: asyncio.AbstractEventLoop, kept: asyncio.Future[None], problem: StoreUnavailable | None
) -> None:
    """Wake a request whose entry has been written, or not; called from the log's thread."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(_finish, kept, problem)


def _finish(kept: asyncio.Future[None], problem: StoreUnavailable | None) -> None:
    if kept.done():
        return
    if problem is None:
        kept.set_result(None)
    else:
        kept.set_exception(problem)


def _end_with_parent() -> None:
    """Ask the kernel to end this worker politely when the process that started it dies."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
