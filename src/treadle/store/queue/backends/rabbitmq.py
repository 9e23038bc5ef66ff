"""The queue in RabbitMQ: a quorum queue with publisher confirms, and a second one for what is parked.

`amqp://user:password@host:5672/queue`, or `/vhost/queue` in a virtual host. A taker that dies loses its messages at once,
for its connection breaks. The broker counts deliveries and parks a message after `crashes` of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from treadle.core.clock import monotonic
from treadle.core.errors import LeaseLost, SettingsError, StoreUnavailable
from treadle.core.optional import require
from treadle.store.amqp import Link, wait_until
from treadle.store.queue.backend import Message, Parked, State

_USUAL = "treadle-jobs"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.1
_REASON = "treadle-reason"
#: What is parked may be looked at this often: each look counts as a delivery.
_LOOKS = 1_000_000_000
_DURABLE = 2
#: Seconds that putting messages back may take.
_SETTLING = 2.0
T = TypeVar("T")


class _Receipt(NamedTuple):
    tag: int
    generation: int


class Backend:
    """One queue of a broker and, as `<queue>.parked`, its parked messages."""

    def __init__(self, url: str, *, root: Path, lease: float, crashes: int, timeout: float) -> None:  # noqa: ARG002
        self._pika: Any = require("pika", extra="rabbitmq")
        parts = urlsplit(url)
        if not parts.hostname:
            msg = f"queue.url = {url!r} names no broker. Expected amqp://user:password@host:5672/queue"
            raise SettingsError(msg)
        path, _, queue = parts.path.strip("/").rpartition("/")
        self._queue = unquote(queue) or _USUAL
        self._aside = f"{self._queue}.parked"
        self._crashes = crashes
        self.shown = (
            f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}/{self._queue}"
        )
        vhost = quote(unquote(path), safe="") or "%2F"
        address = urlunsplit((parts.scheme, parts.netloc, vhost, parts.query, ""))
        # An alarm of the broker stops connections that publish, so takers have one of their own.
        self._sending, self._taking = (
            Link(address, shown=f"The queue {self.shown}", timeout=timeout, prepare=self._prepare)
            for _ in range(2)
        )

    def put(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Publish, and wait for the broker to confirm that a majority of its nodes has it on the disk."""
        for name, body in items:
            self._sending.call(lambda channel, name=name, body=body: self._publish(channel, name, body))  # type: ignore[misc]

    def take(self, limit: int, *, wait: float) -> list[Message]:
        """Get messages one by one: a taker holds nothing that it does not work on."""
        end, pause = monotonic() + wait, _FIRST_PAUSE
        while True:
            found = self._patient(lambda channel: self._get(channel, limit))
            if found or not wait_until(end, pause):
                return found
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def extend(self, messages: Sequence[Message]) -> None:
        """Make sure that the connection over which messages came still stands: that is the lease."""
        for message in messages:
            self._check(message)

    def acknowledge(self, message: Message) -> None:
        """Acknowledge, and make sure that the broker has read it."""
        self._settle(message, lambda channel, tag: channel.basic_ack(tag))

    def release(self, message: Message) -> None:
        """Give a message back; the broker counts the delivery all the same."""
        self._settle(message, lambda channel, tag: channel.basic_nack(tag, requeue=True))

    def park(self, message: Message, reason: str) -> None:
        """Publish a message to the parked ones, and acknowledge it once that is confirmed."""

        def move(channel: Any, tag: int) -> None:
            self._publish(channel, message.id, message.body, to=self._aside, reason=reason)
            channel.basic_ack(tag)

        self._settle(message, move)

    def state(self) -> State:
        """Return what waits and what is parked; the protocol does not tell what is worked on."""

        def count(channel: Any) -> State:
            return State(self._count(channel, self._queue), None, self._count(channel, self._aside))

        return self._patient(count)

    def parked(self, limit: int) -> list[Parked]:
        """Look at what is parked, and put it back."""

        def look(channel: Any) -> list[Parked]:
            held = self._held(channel, limit)
            self._let_go(channel, held)
            return [_parked(properties, body) for _, properties, body in held]

        return self._patient(look)

    def retry(self, ids: Sequence[str]) -> int:
        """Publish parked messages anew, and acknowledge the old ones once that is confirmed."""
        return self._sift(ids, again=True)

    def drop(self, ids: Sequence[str]) -> int:
        """Acknowledge parked messages."""
        return self._sift(ids, again=False)

    def close(self) -> None:
        """Close the connections."""
        self._sending.close()
        self._taking.close()

    def _prepare(self, channel: Any) -> None:
        """Make the queues where there are none, and ask for confirms."""
        quorum = {"x-queue-type": "quorum"}
        dead = {
            "x-delivery-limit": self._crashes - 1,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": self._aside,
            # A message goes to the parked ones at least once, and not at most.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        try:
            channel.queue_declare(self._aside, durable=True, arguments={**quorum, "x-delivery-limit": _LOOKS})
            channel.queue_declare(self._queue, durable=True, arguments={**quorum, **dead})
        except self._pika.exceptions.ChannelClosedByBroker as error:
            msg = (
                f"The queue {self.shown} cannot be used as it is: {error.reply_text}. It may have been made with other "
                "settings (queue.crashes); name another queue in queue.url, or remove it once it is empty."
            )
            raise StoreUnavailable(msg) from error
        channel.confirm_delivery()

    def _publish(self, channel: Any, name: str, body: bytes, *, to: str = "", reason: str = "") -> None:
        headers = {_REASON: reason} if reason else None
        properties = self._pika.BasicProperties(message_id=name, delivery_mode=_DURABLE, headers=headers)
        try:
            channel.basic_publish("", to or self._queue, body, properties, mandatory=True)
        except (self._pika.exceptions.NackError, self._pika.exceptions.UnroutableError) as error:
            msg = (
                f"The queue {self.shown} refused a message ({type(error).__name__}): it may be full, or gone."
            )
            raise StoreUnavailable(msg) from error

    def _get(self, channel: Any, limit: int) -> list[Message]:
        found: list[Message] = []
        while len(found) < limit:
            method, properties, body = channel.basic_get(self._queue)
            if method is None:
                break
            delivery = 1 + int((properties.headers or {}).get("x-delivery-count", 0))
            receipt = _Receipt(method.delivery_tag, self._taking.generation)
            found.append(Message(properties.message_id or "", body, delivery, receipt))
        return found

    def _count(self, channel: Any, queue: str) -> int:
        return int(channel.queue_declare(queue, passive=True).method.message_count)

    def _check(self, message: Message) -> int:
        receipt: _Receipt = message.receipt
        if receipt.generation != self._taking.generation:
            msg = f"The message {message.id} no longer belongs to this process: the connection broke, and it is given to another."
            raise LeaseLost(msg)
        return receipt.tag

    def _settle(self, message: Message, how: Callable[[Any, int], None]) -> None:
        def do(channel: Any) -> None:
            how(channel, self._check(message))
            # The broker answers in order: once it has said this, it has read what came before.
            channel.queue_declare(self._queue, passive=True)

        self._check(message)
        self._patient(do)

    def _held(self, channel: Any, limit: int) -> list[tuple[Any, Any, bytes]]:
        held: list[tuple[Any, Any, bytes]] = []
        while len(held) < limit:
            method, properties, body = channel.basic_get(self._aside)
            if method is None:
                break
            held.append((method, properties, body))
        return held

    def _let_go(self, channel: Any, held: Sequence[tuple[Any, Any, bytes]]) -> None:
        """Put parked messages back, and wait until they are there: the nodes agree on it in their own time."""
        for method, _, _ in held:
            channel.basic_nack(method.delivery_tag, requeue=True)
        end = monotonic() + _SETTLING
        while held and self._count(channel, self._aside) < len(held) and wait_until(end, _FIRST_PAUSE):
            pass

    def _sift(self, ids: Sequence[str], *, again: bool) -> int:
        wanted = set(ids)

        def sift(channel: Any) -> int:
            held = self._held(channel, _LOOKS)
            ours = [one for one in held if one[1].message_id in wanted]
            self._let_go(channel, [one for one in held if one[1].message_id not in wanted])
            for method, properties, body in ours:
                if again:
                    self._publish(channel, properties.message_id, body)
                channel.basic_ack(method.delivery_tag)
            return len({one[1].message_id for one in ours})

        return self._patient(sift)

    def _patient(self, work: Callable[[Any], T]) -> T:
        """Do something that nobody waits for at a door: a connection may have to be made first."""
        return self._taking.call(work, timeout=10.0)


def _parked(properties: Any, body: bytes) -> Parked:
    headers = properties.headers or {}
    reason = headers.get(_REASON) or _of_broker(headers)
    return Parked(properties.message_id or "", body, reason)


def _of_broker(headers: dict[str, Any]) -> str:
    """Return why the broker itself has parked a message."""
    deaths = headers.get("x-death") or [{}]
    why = deaths[0].get("reason", "no reason was given")
    if why == "delivery_limit":
        return "its taker died or lost its connection as often as queue.crashes allows"
    return f"the broker parked it ({why})"
