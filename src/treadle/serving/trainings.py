"""Trainings that are asked for over HTTP: `POST /v1/models/{model}/requests`, with a reason and a key that tells one wish from another."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

import msgspec

from treadle.core.errors import AuthRequired
from treadle.core.records import Record
from treadle.serving.access import Access
from treadle.serving.requests import envelope
from treadle.serving.routing import About, Route
from treadle.serving.web import Request, Response, refuse_plainly, reply

#: Trainings of one model that may be asked for within a minute, over all servers.
MOST = 10
_ABOUT = About("Ask for a training", statuses=(200, 202))


class Ask(Protocol):
    """Asks for a training; what was asked for before with the same key is returned as it is now."""

    def __call__(self, model: str, *, actor: str, reason: str, key: str, most: int) -> Record:
        """Return the request."""
        ...


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    reason: str
    id: str = ""


_DECODER = msgspec.json.Decoder(_Wish)


class TrainingRoutes:
    """The route by which programs ask for trainings; what waits for the ledger does so in a thread of its own."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="treadle-trainings")

    def routes(self, access: Access) -> list[Route]:
        """Return the routes, for callers whose token allows `train`."""
        handler = partial(self._asked, access)
        where = "/v1/models/{model}/requests"
        return [Route("POST", where, handler=handler, refuse=refuse_plainly, scope="train", about=_ABOUT)]

    def close(self) -> None:
        """Let go of the thread."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _asked(self, access: Access, request: Request) -> Response:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, access, request)

    def _answer(self, access: Access, request: Request) -> Response:
        if not access.guarded:
            msg = "A training costs something, so it needs a token also on this machine. Make one: treadle tokens create ci --scope train"
            raise AuthRequired(msg)
        name = access.check("train", request.headers.get("authorization", ""), "")
        wish = envelope(_DECODER, request.body)
        key = wish.id or request.headers.get("idempotency-key", "")
        asked: Any = self._ask(
            request.names["model"], actor=f"token {name}", reason=wish.reason, key=key, most=MOST
        )
        return reply(asked, status=200 if asked.run else 202)
