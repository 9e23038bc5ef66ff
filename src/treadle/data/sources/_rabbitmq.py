"""One queue of RabbitMQ, read and acknowledged in batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from treadle.core.errors import InvalidDeclaration, SourceUnreadable
from treadle.core.optional import require
from treadle.data.sources._engines import public

#: Seconds to wait for a connection.
CONNECT = 10
#: Seconds without a sign of life after which the broker gives a connection up. Nothing is said while a batch is committed.
HEARTBEAT = 1_800
#: Messages on their way at a time.
_WINDOW = 1_000


def check(address: str) -> None:
    """Make sure that an address names a queue.

    Raises:
        InvalidDeclaration: it does not.
    """
    if not urlsplit(address).path.strip("/"):
        msg = f"Stream({public(address)!r}) names no queue. Expected 'amqp://host/queue' or 'amqp://host/vhost/queue'."
        raise InvalidDeclaration(msg, field="address")


def connect(address: str) -> RabbitMQ:
    """Connect to the queue of an address.

    Raises:
        SourceUnreadable: the broker does not answer, or has no such queue.
    """
    return RabbitMQ(address)


class RabbitMQ:
    """A consumer of one queue."""

    def __init__(self, address: str) -> None:
        self._pika = require("pika", extra="rabbitmq")
        parts = urlsplit(address)
        path, _, queue = parts.path.strip("/").rpartition("/")
        self._queue = unquote(queue)
        self._shown = public(address)
        self._last = 0
        vhost = quote(unquote(path), safe="") or "%2F"
        parameters = self._pika.URLParameters(
            urlunsplit((parts.scheme, parts.netloc, vhost, parts.query, ""))
        )
        parameters.heartbeat = HEARTBEAT
        parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = CONNECT
        with self._speaking():
            self._connection = self._pika.BlockingConnection(parameters)
            self._channel = self._connection.channel()

    def waiting(self) -> int:
        """Return how many messages are ready now; see `Consumer`."""
        with self._speaking():
            return int(self._channel.queue_declare(self._queue, passive=True).method.message_count)

    def take(self, limit: int, *, seconds: float, size: int) -> list[bytes]:
        """Return the next messages; see `Consumer`."""
        bodies: list[bytes] = []
        weight = 0
        with self._speaking():
            while len(bodies) < limit and weight < size:
                window = self._window(min(_WINDOW, limit - len(bodies)), seconds)
                if not window:
                    break
                bodies += window
                weight += sum(map(len, window))
        return bodies

    def acknowledge(self) -> None:
        """Acknowledge what was taken; see `Consumer`."""
        # The next `take` says that the broker is gone; the rows are safe, and are told from new ones by their key.
        with suppress(self._pika.exceptions.AMQPError):
            self._channel.basic_ack(self._last, multiple=True)

    def close(self) -> None:
        """Close the connection; the broker delivers again what was not acknowledged."""
        with suppress(self._pika.exceptions.AMQPError):
            self._connection.close()

    def _window(self, limit: int, seconds: float) -> list[bytes]:
        """Return some messages, by a consumer that is never sent more than these: none is handed back and counted as failed."""
        self._channel.basic_qos(prefetch_count=limit)
        bodies: list[bytes] = []
        for method, _, body in self._channel.consume(self._queue, inactivity_timeout=seconds):
            if method is None:
                break
            self._last = method.delivery_tag
            bodies.append(body)
            if len(bodies) == limit:
                break
        self._channel.cancel()
        return bodies

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Raise `SourceUnreadable` for what the client raises in the block."""
        errors = self._pika.exceptions
        try:
            yield
        except errors.ChannelClosedByBroker as error:
            msg = f"The queue {self._queue!r} of {self._shown} cannot be read: {error.reply_text}"
            raise SourceUnreadable(msg) from error
        except (errors.ProbableAuthenticationError, errors.ProbableAccessDeniedError) as error:
            msg = f"The broker {self._shown} refuses this user or this virtual host: {_short(error)}"
            raise SourceUnreadable(msg) from error
        except (errors.AMQPError, OSError) as error:
            msg = (
                f"The broker {self._shown} does not answer ({_short(error)}). Nothing is lost: what was not acknowledged is "
                "delivered again."
            )
            raise SourceUnreadable(msg) from error


def _short(error: Any) -> str:
    inner = getattr(error, "args", ()) and error.args[0]
    while isinstance(inner, BaseException) and inner.args:
        error, inner = inner, inner.args[0]
    return str(error).splitlines()[0][:200] if str(error) else "no connection"
