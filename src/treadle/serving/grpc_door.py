"""Where gRPC comes in: a server beside the HTTP one, in the same process and on the same event loop.

Every call is handed to the application as a request to the HTTP path of the same meaning, so tokens, limits, metrics and
the log are the same; what it answers becomes a message, or a status with the refusal as details. Messages are read here
and not by grpcio, which calls bytes that are none an error of the server's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote

import msgspec

from treadle.core.errors import InvalidInput
from treadle.core.optional import require
from treadle.core.settings import ServingSettings
from treadle.serving.inference_messages import SERVICE, decoded, message
from treadle.serving.web import Response

_HEALTH = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
#: HTTP status → gRPC status.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    507: "RESOURCE_EXHAUSTED",
}
#: Requests of one stream that are worked on at once; their answers go back in order.
_AT_ONCE = 16
#: Seconds after which a connection is asked to end when its calls have (GOAWAY), and its caller connects again: so callers
#: spread over new servers, and leave one that drains. The server's end itself is not as gentle: a call that comes in the
#: same moment is cancelled by grpcio.
_CONNECTION_AGE = 20
_PROTOBUF = "application/x-protobuf"
#: How much a message may be larger than the largest body over HTTP: names and shapes around the tensors.
_ROOM = 64 * 1024


class Asked(msgspec.Struct, frozen=True):
    """A call, as the application sees requests: what Granian calls a scope."""

    method: str
    path: str
    headers: dict[str, str]
    client: str
    proto: str = "http"
    scheme: str = "grpc"
    query_string: str = ""


class Body:
    """A body that is there already."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __call__(self) -> bytes:
        """Return all of it."""
        return self._data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Return it as one piece."""
        yield self._data


Respond = Callable[[Any, Any], Awaitable[Response]]


class Door:
    """Listens for gRPC, at the address of the HTTP server and a port of its own."""

    def __init__(self, respond: Respond, settings: ServingSettings) -> None:
        """Prepare it; `respond` answers a scope and a body, as over HTTP.

        Raises:
            MissingExtra: grpcio is not installed.
        """
        self._respond, self._settings = respond, settings
        self._grpc = require("grpc", extra="grpc")
        self._server: Any = None
        self._closing: asyncio.Future[None] | None = None
        self._methods = self._all_methods()

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            InvalidInput: the port is taken.
        """
        aio = require("grpc.aio", extra="grpc")
        limit = self._settings.max_body + _ROOM
        options = {
            "grpc.max_receive_message_length": limit,
            "grpc.max_send_message_length": -1,
            "grpc.so_reuseport": 1,
            "grpc.max_connection_age_ms": _CONNECTION_AGE * 1000,
        }
        self._server = aio.server(options=list(options.items()))
        self._server.add_generic_rpc_handlers((self,))
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        try:
            self._server.add_insecure_port(f"{host}:{self._settings.grpc_port}")
        except RuntimeError as error:
            msg = f"Cannot listen for gRPC on {host}:{self._settings.grpc_port}. Set serving.grpc_port to another one."
            raise InvalidInput(msg, field="serving.grpc_port") from error
        await self._server.start()

    def close(self, grace: float) -> asyncio.Future[None]:
        """Tell callers to go elsewhere (GOAWAY), and give calls that have begun so many seconds; done when they are."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(grace), loop=asyncio.get_event_loop())
        return self._closing

    async def _close(self, grace: float) -> None:
        if self._server is not None:
            await self._server.stop(grace)

    def service(self, details: Any) -> Any:
        """Return what answers a method; None: there is none. Called by grpcio, which wants this name."""
        return self._methods.get(details.method)

    def service_name(self) -> str:
        """Return the name of the service."""
        return SERVICE

    def _all_methods(self) -> dict[str, Any]:
        one, stream = self._grpc.unary_unary_rpc_method_handler, self._grpc.stream_stream_rpc_method_handler
        calls = {
            "ServerLive": self._live,
            "ServerReady": self._ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": partial(self._shown, "ServerMetadata"),
            "ModelMetadata": partial(self._shown, "ModelMetadata"),
            "ModelInfer": self._infer,
        }
        methods = {f"/{SERVICE}/{name}": one(call) for name, call in calls.items()}
        methods[f"/{SERVICE}/ModelStreamInfer"] = stream(self._stream)
        methods[f"/{_HEALTH}/Check"] = one(self._check)
        return methods

    async def _live(self, data: bytes, context: Any) -> bytes:
        del data
        found = await self._ask("/v2/health/live", context)
        return _say("ServerLiveResponse", live=found.status == 200)

    async def _ready(self, data: bytes, context: Any) -> bytes:
        del data
        found = await self._ask("/v2/health/ready", context)
        return _say("ServerReadyResponse", ready=found.status == 200)

    async def _check(self, data: bytes, context: Any) -> bytes:
        """Answer the health check that Kubernetes' probes and load balancers send."""
        del data
        found = await self._ask("/v2/health/ready", context)
        return _SERVING if found.status == 200 else _NOT_SERVING

    async def _model_ready(self, data: bytes, context: Any) -> bytes:
        asked = await self._read("ModelReadyRequest", data, context)
        found = await self._ask(f"{_model(asked.name, asked.version)}/ready", context)
        if found.status not in {200, 404, 503}:
            await self._abort(found, context)
        return _say("ModelReadyResponse", ready=found.status == 200)

    async def _shown(self, name: str, data: bytes, context: Any) -> bytes:
        asked = await self._read(f"{name}Request", data, context)
        path = "/v2" if name == "ServerMetadata" else _model(asked.name, asked.version)
        found = await self._ask(path, context)
        if found.status != 200:
            await self._abort(found, context)
        told = require("google.protobuf.json_format", extra="grpc").Parse(
            found.body, message(f"{name}Response")(), ignore_unknown_fields=True
        )
        return bytes(told.SerializeToString())

    async def _infer(self, data: bytes, context: Any) -> bytes:
        found = await self._answer(data, context)
        if found.status != 200:
            await self._abort(found, context)
        return found.body

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        waiting: asyncio.Queue[asyncio.Task[Response] | None] = asyncio.Queue()
        places = asyncio.Semaphore(_AT_ONCE)

        async def take() -> None:
            async for data in requests:
                await places.acquire()
                waiting.put_nowait(asyncio.ensure_future(self._answer(data, context)))

        taking = asyncio.ensure_future(take())
        taking.add_done_callback(lambda _: waiting.put_nowait(None))
        try:
            while (task := await waiting.get()) is not None:
                yield _in_stream(await task)
                places.release()
            taking.result()
        finally:
            taking.cancel()
            while not waiting.empty():
                if (left := waiting.get_nowait()) is not None:
                    left.cancel()

    async def _answer(self, data: bytes, context: Any) -> Response:
        try:
            asked = decoded("ModelInferRequest", data)
        except InvalidInput as error:
            return Response(status=400, body=msgspec.json.encode({"error": str(error)}))
        return await self._ask(f"{_model(asked.model_name, asked.model_version)}/infer", context, data)

    async def _ask(self, path: str, context: Any, data: bytes | None = None) -> Response:
        headers = _headers(context.invocation_metadata() or ())
        if data is not None:
            headers["content-type"] = _PROTOBUF
            headers["content-length"] = str(len(data))
        asked = Asked("GET" if data is None else "POST", path, headers, context.peer())
        return await self._respond(asked, Body(data or b""))

    async def _read(self, name: str, data: bytes, context: Any) -> Any:
        try:
            return decoded(name, data)
        except InvalidInput as error:
            await context.abort(self._grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def _abort(self, found: Response, context: Any) -> None:
        code = getattr(self._grpc.StatusCode, _CODES.get(found.status, "INTERNAL"))
        wait = next((value for name, value in found.headers if name == "retry-after"), None)
        trailing = (("retry-after", wait),) if wait else ()
        await context.abort(code, _text(found), trailing)


def _headers(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Return a call's metadata as headers; what would change how the body is read is of the other protocol."""
    return {
        name: value
        for name, value in metadata
        if isinstance(value, str) and not name.startswith("content-") and name != "transfer-encoding"
    }


@lru_cache(maxsize=1024)
def _model(name: str, version: str) -> str:
    place = f"/v2/models/{quote(name, safe='')}"
    return f"{place}/versions/{quote(version, safe='')}" if version else place


def _say(name: str, **fields: Any) -> bytes:
    return bytes(message(name)(**fields).SerializeToString())


def _text(found: Response) -> str:
    """Return what a refusal says."""
    try:
        said = msgspec.json.decode(found.body)["error"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return found.body[:1000].decode(errors="replace")
    return str(said.get("message", said) if isinstance(said, dict) else said)[:4000]


def _in_stream(found: Response) -> bytes:
    """Return an answer as one message of a stream; a refusal is of its request alone, and the stream goes on."""
    if found.status != 200:
        return _say("ModelStreamInferResponse", error_message=_text(found))
    return b"\x12" + _varint(len(found.body)) + found.body


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    made.append(number)
    return bytes(made)
