"""One durable consumer of a NATS JetStream stream, read and acknowledged in batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.core.optional import require
from treadle.data.sources._engines import public

#: Seconds to wait for a connection, and for an answer.
CONNECT = 5
#: Seconds after which the server delivers a message again that was not acknowledged.
REDELIVER = 300
#: Messages that are asked for at a time.
_WINDOW = 500
_KNOWN = {"durable", "subject"}
_T = TypeVar("_T")


def check(address: str) -> None:
    """Make sure that an address names a stream and a durable consumer.

    Raises:
        InvalidDeclaration: it does not.
    """
    parts = urlsplit(address)
    options = parse_qs(parts.query)
    unknown = sorted(set(options) - _KNOWN)
    if not parts.path.strip("/") or "durable" not in options or unknown:
        said = (
            f"has an unknown option {unknown[0]!r}" if unknown else "names no stream, or no durable consumer"
        )
        msg = (
            f"Stream({public(address)!r}) {said}. Expected 'nats://host/stream?durable=name', with a name that no other "
            "dataset has, and '&subject=…' if not all subjects are wanted."
        )
        raise InvalidDeclaration(msg, field="address")


def connect(address: str) -> Nats:
    """Connect to the durable consumer of an address, and make it where there is none.

    Raises:
        SourceUnreadable: the server does not answer, or has no such stream.
    """
    return Nats(address)


class Nats:
    """A durable consumer. The client is asynchronous; it runs in a thread, which keeps the connection alive."""

    def __init__(self, address: str) -> None:
        self._nats = require("nats", extra="nats")
        self._js = require("nats.js", extra="nats")
        parts = urlsplit(address)
        options = parse_qs(parts.query)
        self._server = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
        self._stream = unquote(parts.path.strip("/"))
        self._durable = options["durable"][0]
        self._subject = options.get("subject", [None])[0]
        self._shown = public(address)
        self._taken: list[Any] = []
        self._client: Any = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="treadle-nats", daemon=True)
        self._thread.start()
        try:
            self._run(self._open())
        except BaseException:
            self.close()
            raise

    def waiting(self) -> int:
        """Return how many messages are there now, delivered and not acknowledged ones too; see `Consumer`."""
        info = self._run(self._messages.consumer_info())
        return int(info.num_pending or 0) + int(info.num_ack_pending or 0)

    def take(self, limit: int, *, seconds: float, size: int) -> list[bytes]:
        """Return the next messages; see `Consumer`."""
        self._taken = self._run(self._take(limit, seconds=seconds, size=size))
        return [message.data for message in self._taken]

    def acknowledge(self) -> None:
        """Acknowledge what was taken; see `Consumer`."""
        # The next `take` says that the server is gone; the rows are safe, and are told from new ones by their key.
        with suppress(SourceUnreadable):
            self._run(self._acknowledge())

    def close(self) -> None:
        """Close the connection and end its thread."""
        if self._client is not None:
            with suppress(SourceUnreadable):
                self._run(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _open(self) -> None:
        self._client = await self._nats.connect(
            self._server,
            allow_reconnect=False,
            connect_timeout=CONNECT,
            max_reconnect_attempts=1,  # of the first connection too
            reconnect_time_wait=0.2,
            error_cb=_say_nothing,
        )
        stream = self._client.jetstream(timeout=CONNECT)
        try:
            info = await stream.consumer_info(self._stream, self._durable)
        except self._js.errors.NotFoundError:
            info = await stream.add_consumer(self._stream, self._wanted())
        if info.config.ack_policy != self._js.api.AckPolicy.EXPLICIT:
            msg = (
                f"The consumer {self._durable!r} of {self._shown} does not wait for each acknowledgement "
                f"(ack_policy is {info.config.ack_policy}), so messages would be lost. Name another one: it will be made."
            )
            raise SourceUnreadable(msg)
        self._messages = await stream.pull_subscribe_bind(consumer=self._durable, stream=self._stream)

    def _wanted(self) -> Any:
        return self._js.api.ConsumerConfig(
            durable_name=self._durable,
            ack_policy=self._js.api.AckPolicy.EXPLICIT,
            ack_wait=REDELIVER,
            max_ack_pending=-1,
            filter_subject=self._subject,
        )

    async def _take(self, limit: int, *, seconds: float, size: int) -> list[Any]:
        found: list[Any] = []
        weight = 0
        while len(found) < limit and weight < size:
            try:
                window = await self._messages.fetch(min(_WINDOW, limit - len(found)), timeout=seconds)
            except self._nats.errors.TimeoutError:
                break
            found += window
            weight += sum(len(message.data) for message in window)
        if not self._client.is_connected:
            raise self._nats.errors.ConnectionClosedError
        return found

    async def _acknowledge(self) -> None:
        for message in self._taken:
            await message.ack()
        await self._client.flush(timeout=CONNECT)
        self._taken = []

    async def _leave(self) -> None:
        """Hand back what was not acknowledged, so that it need not be waited for, and close the connection."""
        if self._client.is_connected:
            for message in self._taken:
                await message.nak()
        await self._client.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        with self._speaking():
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Raise `SourceUnreadable` for what the client raises in the block."""
        try:
            yield
        except self._js.errors.NotFoundError as error:
            msg = f"The server of {self._shown} has no stream {self._stream!r}: {error.description}"
            raise SourceUnreadable(msg) from error
        except (self._nats.errors.Error, OSError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            msg = (
                f"The server of {self._shown} does not answer ({said}). Nothing is lost: what was not acknowledged is "
                "delivered again."
            )
            raise SourceUnreadable(msg) from error


async def _say_nothing(error: Exception) -> None:
    """Leave errors to those that wait for an answer: the client would print them."""
