"""The methods of the Open Inference Protocol for gRPC, each of which is a request to the HTTP path of the same meaning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote

import msgspec

from treadle.core.errors import InvalidInput
from treadle.core.optional import require
from treadle.serving.grpc_wire import OF_HTTP, Asked, Refused, said
from treadle.serving.inference_messages import SERVICE, decoded, message
from treadle.serving.inference_wire import addressed, varint
from treadle.serving.web import Response

_HEALTH = "grpc.health.v1.Health"
_SERVING, _NOT_SERVING = b"\x08\x01", b"\x08\x02"
#: Requests of one stream that are worked on at once; their answers go back in order.
_AT_ONCE = 16
_PROTOBUF = "application/x-protobuf"

Respond = Callable[[Any, Any], Awaitable[Response]]
Call = Callable[[bytes, Asked, str], Awaitable[bytes]]
Calls = Callable[[AsyncIterable[bytes], Asked, str], AsyncIterator[bytes]]


class Scope(msgspec.Struct, frozen=True):
    """A call, as the application sees requests: what is called a scope."""

    method: str
    path: str
    headers: dict[str, str]
    client: str
    proto: str = "http"
    scheme: str = "grpc"
    query_string: str = ""


class _Turn:
    """Awaited, it lets everything that is due in the event loop run once."""

    def __await__(self) -> Generator[None]:
        yield


_TURN = _Turn()


class Body:
    """A body that is there already."""

    __slots__ = ("_data", "_has_company")

    def __init__(self, data: bytes, *, has_company: bool) -> None:
        self._data, self._has_company = data, has_company

    async def __call__(self) -> bytes:
        """Return all of it; others that came at the same time are read before one goes on: they run together."""
        if self._has_company:
            await _TURN
        return self._data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Return it as one piece."""
        yield self._data


class Service:
    """Answers calls by an application's responses."""

    def __init__(self, respond: Respond) -> None:
        """Prepare it; `respond` answers a scope and a body, as over HTTP.

        Raises:
            MissingExtra: protobuf is not installed.
        """
        message("ModelInferRequest")
        self._respond = respond
        #: Calls under way.
        self._under_way = 0
        own: dict[str, Call] = {
            "ServerLive": partial(self._health, "/v2/health/live", "ServerLiveResponse", "live"),
            "ServerReady": partial(self._health, "/v2/health/ready", "ServerReadyResponse", "ready"),
            "ModelReady": self._model_ready,
            "ServerMetadata": partial(self._shown, "ServerMetadata"),
            "ModelMetadata": partial(self._shown, "ModelMetadata"),
            "ModelInfer": self._infer,
        }
        #: Method → what answers its one request; and what answers a stream of them.
        self.calls = {f"/{SERVICE}/{name}": call for name, call in own.items()}
        self.calls[f"/{_HEALTH}/Check"] = self._check
        self.streams: dict[str, Calls] = {f"/{SERVICE}/ModelStreamInfer": self._stream}

    async def _infer(self, data: bytes, asked: Asked, peer: str) -> bytes:
        found = await self._answer(data, asked, peer)
        if found.status != 200:
            raise _refusal(found)
        return found.body

    async def _answer(self, data: bytes, asked: Asked, peer: str) -> Response:
        try:
            name, version = addressed(data)
        except InvalidInput as error:
            return Response(status=400, body=msgspec.json.encode({"error": str(error)}))
        headers = {**asked.headers, "content-type": _PROTOBUF, "content-length": str(len(data))}
        scope = Scope("POST", f"{_model(name, version)}/infer", headers, peer)
        self._under_way += 1
        try:
            return await self._respond(scope, Body(data, has_company=self._under_way > 1))
        finally:
            self._under_way -= 1

    async def _ask(self, path: str, asked: Asked, peer: str) -> Response:
        return await self._respond(Scope("GET", path, asked.headers, peer), Body(b"", has_company=False))

    async def _health(self, path: str, name: str, field: str, data: bytes, asked: Asked, peer: str) -> bytes:
        del data
        found = await self._ask(path, asked, peer)
        return _say(name, **{field: found.status == 200})

    async def _check(self, data: bytes, asked: Asked, peer: str) -> bytes:
        """Answer the health check that Kubernetes' probes and load balancers send."""
        del data
        found = await self._ask("/v2/health/ready", asked, peer)
        return _SERVING if found.status == 200 else _NOT_SERVING

    async def _model_ready(self, data: bytes, asked: Asked, peer: str) -> bytes:
        wanted = _read("ModelReadyRequest", data)
        found = await self._ask(f"{_model(wanted.name, wanted.version)}/ready", asked, peer)
        if found.status not in {200, 404, 503}:
            raise _refusal(found)
        return _say("ModelReadyResponse", ready=found.status == 200)

    async def _shown(self, name: str, data: bytes, asked: Asked, peer: str) -> bytes:
        wanted = _read(f"{name}Request", data)
        path = "/v2" if name == "ServerMetadata" else _model(wanted.name, wanted.version)
        found = await self._ask(path, asked, peer)
        if found.status != 200:
            raise _refusal(found)
        told = require("google.protobuf.json_format", extra="grpc").Parse(
            found.body, message(f"{name}Response")(), ignore_unknown_fields=True
        )
        return bytes(told.SerializeToString())

    async def _stream(self, requests: AsyncIterable[bytes], asked: Asked, peer: str) -> AsyncIterator[bytes]:
        waiting: asyncio.Queue[asyncio.Task[Response] | None] = asyncio.Queue()
        places = asyncio.Semaphore(_AT_ONCE)

        async def take() -> None:
            async for data in requests:
                await places.acquire()
                waiting.put_nowait(asyncio.ensure_future(self._answer(data, asked, peer)))

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


@lru_cache(maxsize=1024)
def _model(name: str, version: str) -> str:
    place = f"/v2/models/{quote(name, safe='')}"
    return f"{place}/versions/{quote(version, safe='')}" if version else place


def _read(name: str, data: bytes) -> Any:
    try:
        return decoded(name, data)
    except InvalidInput as error:
        raise Refused("INVALID_ARGUMENT", str(error)) from error


def _say(name: str, **fields: Any) -> bytes:
    return bytes(message(name)(**fields).SerializeToString())


def _refusal(found: Response) -> Refused:
    wait = next((value for name, value in found.headers if name == "retry-after"), None)
    return Refused(
        OF_HTTP.get(found.status, "INTERNAL"), said(found.body), [("retry-after", wait)] if wait else ()
    )


def _in_stream(found: Response) -> bytes:
    """Return an answer as one message of a stream; a refusal is of its request alone, and the stream goes on."""
    if found.status != 200:
        return _say("ModelStreamInferResponse", error_message=said(found.body))
    return b"\x12" + varint(len(found.body)) + found.body
