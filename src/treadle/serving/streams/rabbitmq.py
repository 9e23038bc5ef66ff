"""Messages of RabbitMQ: `amqp://user:password@host:5672/queue`, or `/vhost/queue`; predictions may go to `?exchange=name` too.

A message is known by its `message_id`; one without gets a new one at each delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput, StoreUnavailable
from treadle.core.ids import new_id
from treadle.core.optional import require
from treadle.serving.stream import TIMEOUT, Incoming, Outgoing, parts, shown
from treadle.store.amqp import Link, wait_until

_EXPECTED = "amqp://user:password@host:5672/queue, where predictions go also with ?exchange=name"
_PAUSE = 0.05
_DURABLE = 2


class _Queue:
    """One queue of a broker."""

    def __init__(self, address: str, *, may: Sequence[str] = ()) -> None:
        self._pika: Any = require("pika", extra="rabbitmq")
        self.options = parts(address, needs=(), may=may, expected=_EXPECTED)
        found = urlsplit(address)
        path, _, queue = found.path.strip("/").rpartition("/")
        self.shown, self.queue = shown(address), unquote(queue)
        if not self.queue or not found.hostname:
            msg = f"The address {self.shown} names no queue. Expected {_EXPECTED}."
            raise InvalidInput(msg, field="address")
        vhost = quote(unquote(path), safe="") or "%2F"
        self.link = Link(
            urlunsplit((found.scheme, found.netloc, vhost, "", "")),
            shown=self.shown,
            timeout=TIMEOUT,
            prepare=self.prepare,
        )
        self.link.call(lambda _: None)

    def prepare(self, channel: Any) -> None:
        """Ask for confirms, and make sure that the queue is there."""
        channel.confirm_delivery()
        if self.options.get("exchange"):
            return
        try:
            channel.queue_declare(self.queue, passive=True)
        except self._pika.exceptions.ChannelClosedByBroker as error:
            msg = f"there is no queue {self.queue!r}: {error.reply_text}"
            raise StoreUnavailable(msg) from error

    def send(self, channel: Any, message: Outgoing, *, to: str, reason: str = "") -> None:
        """Publish a message, and wait for its confirmation."""
        properties = self._pika.BasicProperties(
            message_id=message.id,
            delivery_mode=_DURABLE,
            content_type="application/json",
            headers={"treadle-reason": reason} if reason else None,
        )
        try:
            exchange = "" if reason else self.options.get("exchange", "")
            channel.basic_publish(exchange, to, message.body, properties, mandatory=True)
        except (self._pika.exceptions.NackError, self._pika.exceptions.UnroutableError) as error:
            msg = f"{self.shown} did not take a message ({type(error).__name__})."
            raise StoreUnavailable(msg) from error

    def close(self) -> None:
        """Close the connection."""
        self.link.close()


class Source(_Queue):
    """One queue; a message that is put aside goes to `<queue>.parked`, which is made where it is not there."""

    def take(self, limit: int, *, wait: float) -> list[Incoming]:
        """Get messages one by one."""
        end = monotonic() + wait
        while True:
            found = self.link.call(lambda channel: self._get(channel, limit))
            if found or not wait_until(end, _PAUSE):
                return found

    def acknowledge(self, messages: Sequence[Incoming]) -> None:
        """Acknowledge, and make sure that the broker has read it; over another connection there is nothing to acknowledge."""

        def do(channel: Any) -> None:
            for message in messages:
                if message.receipt[1] == self.link.generation:
                    channel.basic_ack(message.receipt[0])
            channel.queue_declare(self.queue, passive=True)

        self.link.call(do)

    def park(self, message: Incoming, reason: str) -> None:
        """Publish to the parked ones, and acknowledge."""

        def do(channel: Any) -> None:
            aside = f"{self.queue}.parked"
            channel.queue_declare(aside, durable=True, arguments={"x-queue-type": "quorum"})
            self.send(channel, Outgoing(message.id, message.body), to=aside, reason=reason)

        self.link.call(do)
        self.acknowledge([message])

    def waiting(self) -> int | None:
        """Return the length of the queue, without what was taken."""
        declared = self.link.call(lambda channel: channel.queue_declare(self.queue, passive=True))
        return int(declared.method.message_count)

    def _get(self, channel: Any, limit: int) -> list[Incoming]:
        found: list[Incoming] = []
        while len(found) < limit:
            method, properties, body = channel.basic_get(self.queue)
            if method is None:
                break
            count = (properties.headers or {}).get("x-delivery-count", 1 if method.redelivered else 0)
            receipt = (method.delivery_tag, self.link.generation)
            found.append(Incoming(properties.message_id or new_id("message"), body, 1 + int(count), receipt))
        return found


class Sink(_Queue):
    """One queue, or an exchange with the queue's name as the routing key."""

    def __init__(self, address: str) -> None:
        super().__init__(address, may=("exchange",))

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages, each confirmed."""
        for message in messages:
            self.link.call(lambda channel, message=message: self.send(channel, message, to=self.queue))  # type: ignore[misc]
