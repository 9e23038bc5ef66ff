"""Streams of NATS JetStream: from `nats://host:4222/stream?durable=name`, to `nats://host:4222/subject` that a stream keeps.

A message is known by its header `Nats-Msg-Id`, else by its number in the stream. Predictions carry the same header, by which
the server drops what comes twice within its window.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

from treadle.core.errors import InvalidInput, StoreUnavailable
from treadle.core.optional import require
from treadle.serving.stream import TIMEOUT, Incoming, Outgoing, parts, shown

_FROM = "nats://host:4222/stream?durable=name, and &subject=… if not all subjects are wanted"
_TO = "nats://host:4222/subject"
_ID, _REASON = "Nats-Msg-Id", "Treadle-Reason"
#: Seconds after which the server delivers a message again that was not acknowledged.
_REDELIVER = 60
T = TypeVar("T")


class _Client:
    """A connection; the library is asynchronous, and runs in a thread that keeps the connection alive."""

    def __init__(self, address: str, *, expected: str) -> None:
        self._nats: Any = require("nats", extra="nats")
        self._js: Any = require("nats.js", extra="nats")
        found = urlsplit(address)
        self.shown, self.name = shown(address), unquote(found.path.strip("/"))
        if not self.name or not found.hostname:
            msg = f"The address {self.shown} names no stream or subject. Expected {expected}."
            raise InvalidInput(msg, field="address")
        self._server = urlunsplit((found.scheme, found.netloc, "", "", ""))
        self._client: Any = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="treadle-nats", daemon=True)
        self._thread.start()
        try:
            self.run(self._open())
        except BaseException:
            self.close()
            raise

    async def _open(self) -> None:
        self._client = await self._nats.connect(
            self._server,
            allow_reconnect=False,
            connect_timeout=int(TIMEOUT),
            max_reconnect_attempts=1,
            error_cb=_say_nothing,
        )
        self.stream = self._client.jetstream(timeout=TIMEOUT)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the thread, and return what it returns.

        Raises:
            StoreUnavailable: the server does not answer, or has no such stream or subject.
        """
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(2 * TIMEOUT)
        except (self._nats.errors.Error, OSError, TimeoutError) as error:
            said = getattr(error, "description", None) or str(error) or type(error).__name__
            msg = f"{self.shown} does not answer ({said}). What was not acknowledged comes again."
            raise StoreUnavailable(msg) from error

    def close(self) -> None:
        """Close the connection and end its thread."""
        if self._client is not None:
            with suppress(StoreUnavailable):
                self.run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Source(_Client):
    """A durable consumer, made where there is none; what is put aside goes to the stream `<stream>-parked`."""

    def __init__(self, address: str) -> None:
        options = parts(address, needs=("durable",), may=("subject",), expected=_FROM)
        super().__init__(address, expected=_FROM)
        try:
            self.run(self._bind(options["durable"], options.get("subject")))
        except BaseException:
            self.close()
            raise

    def take(self, limit: int, *, wait: float) -> list[Incoming]:
        """Fetch messages."""
        return self.run(self._take(limit, wait))

    def acknowledge(self, messages: Sequence[Incoming]) -> None:
        """Acknowledge, and wait until the server has read it."""
        self.run(self._acknowledge(messages))

    def park(self, message: Incoming, reason: str) -> None:
        """Publish to the parked ones, and acknowledge."""
        self.run(self._park(message, reason))

    def waiting(self) -> int | None:
        """Return what the consumer has not been given yet."""
        found = self.run(self._messages.consumer_info()).num_pending
        return None if found is None else int(found)

    async def _bind(self, durable: str, subject: str | None) -> None:
        try:
            info = await self.stream.consumer_info(self.name, durable)
        except self._js.errors.NotFoundError:
            explicit = self._js.api.AckPolicy.EXPLICIT
            wanted = self._js.api.ConsumerConfig(
                durable_name=durable, ack_policy=explicit, ack_wait=_REDELIVER, filter_subject=subject
            )
            info = await self.stream.add_consumer(self.name, wanted)
        if info.config.ack_policy != self._js.api.AckPolicy.EXPLICIT:
            msg = f"The consumer {durable!r} of {self.shown} does not wait for acknowledgements. Name another: it will be made."
            raise InvalidInput(msg, field="address")
        self._messages = await self.stream.pull_subscribe_bind(consumer=durable, stream=self.name)

    async def _take(self, limit: int, wait: float) -> list[Incoming]:
        try:
            found = await self._messages.fetch(limit, timeout=max(wait, 0.05))
        except self._nats.errors.TimeoutError:
            found = []
        if not self._client.is_connected:
            raise self._nats.errors.ConnectionClosedError
        return [
            Incoming(
                (one.headers or {}).get(_ID) or f"{self.name}-{one.metadata.sequence.stream}",
                one.data,
                int(one.metadata.num_delivered or 1),
                one,
            )
            for one in found
        ]

    async def _acknowledge(self, messages: Sequence[Incoming]) -> None:
        for message in messages:
            await message.receipt.ack()
        await self._client.flush(timeout=TIMEOUT)

    async def _park(self, message: Incoming, reason: str) -> None:
        aside, subject = f"{self.name}-parked", f"{self.name}.parked"
        try:
            await self.stream.stream_info(aside)
        except self._js.errors.NotFoundError:
            await self.stream.add_stream(name=aside, subjects=[subject])
        # A header is a line of plain letters.
        plain = " ".join(reason.split())[:1000].encode("ascii", "backslashreplace").decode()
        headers = {_ID: message.id, _REASON: plain}
        await self.stream.publish(subject, message.body, headers=headers)
        await self._acknowledge([message])


class Sink(_Client):
    """A subject that a stream keeps."""

    def __init__(self, address: str) -> None:
        parts(address, needs=(), expected=_TO)
        super().__init__(address, expected=_TO)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages; the server has confirmed each when this returns."""
        self.run(self._publish(messages))

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        await asyncio.gather(
            *(self.stream.publish(self.name, one.body, headers={_ID: one.id}) for one in messages)
        )


async def _say_nothing(error: Exception) -> None:
    """Leave errors to those that wait for an answer: the library would print them."""
