"""Messages of a broker, each of them a row: RabbitMQ and NATS JetStream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from treadle.core.errors import InvalidDeclaration
from treadle.core.settings import referenced
from treadle.data.raw import Batch
from treadle.data.sources import _jsonl
from treadle.data.sources._engines import public

#: Messages of a batch, and the seconds of silence after which reading ends.
BATCH_ROWS, BATCH_SECONDS = 50_000, 2.0
#: Bytes of messages after which a batch ends.
BATCH_BYTES = 64 << 20
#: Characters of a malformed message that are kept with the reason; the broker forgets the message.
_KEPT = 4_000
_BROKERS = {"amqp": "_rabbitmq", "amqps": "_rabbitmq", "nats": "_nats", "tls": "_nats"}


class Consumer(Protocol):
    """A connection that takes messages from one queue or stream."""

    def waiting(self) -> int:
        """Return how many messages are there now."""
        ...

    def take(self, limit: int, *, seconds: float, size: int) -> list[bytes]:
        """Return the next messages, at most `limit` of them or about `size` bytes; fewer when none comes for `seconds`.

        Raises:
            SourceUnreadable: the broker is gone. It will deliver again what was not acknowledged.
        """
        ...

    def acknowledge(self) -> None:
        """Let the broker forget what was taken; where it is gone, it will deliver that again."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


@dataclass(frozen=True)
class Stream:
    """Messages of RabbitMQ or NATS JetStream, each one row: a JSON object, or a MessagePack map.

    `Stream("amqp://user@host:5672/queue")` reads a queue (`/vhost/queue` in a virtual host);
    `Stream("nats://host:4222/stream?durable=treadle-flights")` reads a stream through a durable consumer, which is made where
    there is none; `&subject=flights.*` names the subjects. `env:BROKER_URL` takes the address from that variable, or from the
    file that `BROKER_URL_FILE` names. Each dataset needs a queue, or a durable consumer, of its own.

    An ingestion reads what was there when it began, and ends when nothing comes for `batch_seconds`. Messages are
    acknowledged after their rows were committed; what is delivered twice is dropped by its key. A message that is
    no row goes to the quarantine. A batch ends after `batch_rows` messages, or 64 MiB of them.
    """

    address: str
    format: str = "json"
    batch_rows: int = BATCH_ROWS
    batch_seconds: float = BATCH_SECONDS

    def __post_init__(self) -> None:
        """Check what was declared."""
        if self.format not in _DECODERS:
            msg = f"Stream(format={self.format!r}) is not known. Expected {' or '.join(_DECODERS)}."
            raise InvalidDeclaration(msg, field="format")
        if not self.address.startswith("env:"):
            _broker(self.address)
        if self.batch_rows < 1 or self.batch_seconds <= 0:
            msg = (
                f"Stream(batch_rows={self.batch_rows}, batch_seconds={self.batch_seconds}) reads nothing. Expected positive "
                "numbers."
            )
            raise InvalidDeclaration(msg, field="batch_rows")

    @contextmanager
    def batches(
        self,
        root: Path,  # noqa: ARG002 - all sources are called alike
        *,
        after: Mapping[str, Any] | None,
        key: Sequence[str],  # noqa: ARG002
    ) -> Iterator[Iterator[Batch]]:
        """Connect, and return the messages that are there, batch by batch; see `OrderedSource.batches`.

        The broker knows what was acknowledged; the position only counts.

        Raises:
            SourceUnreadable: the broker does not answer, or has no such queue or stream.
        """
        address = referenced(self.address)
        with closing(_broker(address).connect(address)) as consumer:
            name = urlsplit(address).path.rpartition("/")[2]
            yield self._read(consumer, file=f"stream {name}", read=int((after or {}).get("messages", 0)))

    def spec(self) -> dict[str, Any]:
        """Return the declaration as plain values, without a password."""
        return {"source": "stream", "address": public(self.address), "format": self.format}

    def _read(self, consumer: Consumer, *, file: str, read: int) -> Iterator[Batch]:
        left = consumer.waiting()
        while left > 0:
            bodies = consumer.take(min(left, self.batch_rows), seconds=self.batch_seconds, size=BATCH_BYTES)
            if not bodies:
                return
            left -= len(bodies)
            read += len(bodies)
            rows, broken = _DECODERS[self.format](bodies)
            raw = _jsonl.raw_of(file, rows, broken=broken)
            yield Batch(raw=raw, position={"messages": read}, acknowledge=consumer.acknowledge)


def _broker(address: str) -> Any:
    scheme = urlsplit(address).scheme
    if scheme not in _BROKERS:
        msg = (
            f"Stream({public(address)!r}) is the address of no known broker. Expected 'amqp://host/queue', "
            "'nats://host/stream?durable=name', or 'env:BROKER_URL'."
        )
        raise InvalidDeclaration(msg, field="address")
    broker = import_module(f"treadle.data.sources.{_BROKERS[scheme]}")
    broker.check(address)
    return broker


def _json(bodies: list[bytes]) -> tuple[list[dict[str, Any]], dict[int, str]]:
    return _jsonl.objects(bodies, longest=_KEPT)


def _msgpack(bodies: list[bytes]) -> tuple[list[dict[str, Any]], dict[int, str]]:
    rows: list[dict[str, Any]] = []
    broken: dict[int, str] = {}
    decoder = msgspec.msgpack.Decoder(dict[str, Any])
    for body in bodies:
        try:
            rows.append(decoder.decode(body))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            rows.append({})
            broken[len(rows)] = f"{body[: _KEPT // 2].hex()} (hexadecimal) is not a MessagePack map: {error}"
    return rows, broken


_DECODERS: dict[str, Callable[[list[bytes]], tuple[list[dict[str, Any]], dict[int, str]]]] = {
    "json": _json,
    "msgpack": _msgpack,
}
