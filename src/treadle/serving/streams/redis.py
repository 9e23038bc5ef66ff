"""Streams of Redis: from `redis://host:6379/0?stream=name&group=treadle`, to `redis://host:6379/0?stream=name&maxlen=100000`.

The message is in the field `body`, its id in `id`; without one it is the entry's own id.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from treadle.core.errors import StoreUnavailable
from treadle.core.ids import new_id
from treadle.core.optional import require
from treadle.serving.stream import TIMEOUT, Incoming, Outgoing, parts, shown, whole

_FROM = "redis://host:6379/0?stream=name&group=treadle"
_TO = "redis://host:6379/0?stream=name, with &maxlen=100000 where old entries may go"
#: Milliseconds after which what another consumer did not acknowledge is taken over.
_IDLE = 30_000
T = TypeVar("T")


class _Stream:
    """One stream of a server."""

    def __init__(self, address: str, *, may: Sequence[str], expected: str) -> None:
        self._redis: Any = require("redis", extra="redis")
        self.options = parts(address, needs=("stream",), may=may, expected=expected)
        self.stream, self.shown = self.options["stream"], shown(address)
        found = urlsplit(address)
        self._client = self._redis.Redis.from_url(
            urlunsplit((found.scheme, found.netloc, found.path, "", "")),
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
        )

    def ask(self, work: Callable[[Any], T]) -> T:
        """Do something with the client.

        Raises:
            StoreUnavailable: the server does not answer, or refuses.
        """
        try:
            return work(self._client)
        except (self._redis.exceptions.RedisError, OSError) as error:
            msg = f"{self.shown} does not answer ({str(error)[:200]}). What was not acknowledged comes again."
            raise StoreUnavailable(msg) from error

    def close(self) -> None:
        """Close the connection."""
        with suppress(self._redis.exceptions.RedisError, OSError):
            self._client.close()


class Source(_Stream):
    """One stream, read through a consumer group; a message that is put aside goes to `<stream>:parked`."""

    def __init__(self, address: str) -> None:
        super().__init__(address, may=("group", "idle"), expected=_FROM)
        self._group = self.options.get("group", "treadle")
        self._idle = whole(self.options, "idle", _IDLE)
        self._name = f"{socket.gethostname()}-{new_id()[-8:]}"
        self.ask(self._make_group)

    def take(self, limit: int, *, wait: float) -> list[Incoming]:
        """Take over what others left, or read what is new."""
        return self.ask(lambda client: self._left(client, limit) or self._new(client, limit, wait))

    def acknowledge(self, messages: Sequence[Incoming]) -> None:
        """Acknowledge entries."""
        self.ask(lambda client: client.xack(self.stream, self._group, *[m.receipt for m in messages]))

    def park(self, message: Incoming, reason: str) -> None:
        """Copy an entry to the parked ones and acknowledge it, in one transaction."""

        def do(client: Any) -> None:
            with client.pipeline(transaction=True) as both:
                both.xadd(f"{self.stream}:parked", {"id": message.id, "body": message.body, "reason": reason})
                both.xack(self.stream, self._group, message.receipt)
                both.execute()

        self.ask(do)

    def waiting(self) -> int | None:
        """Return the group's lag, which Redis loses where entries were removed from the middle."""
        for group in self.ask(lambda client: client.xinfo_groups(self.stream)):
            if group["name"].decode() == self._group:
                lag = group.get("lag")
                return None if lag is None else int(lag)
        return None

    def _make_group(self, client: Any) -> None:
        try:
            client.xgroup_create(self.stream, self._group, id="0", mkstream=True)
        except self._redis.exceptions.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _left(self, client: Any, limit: int) -> list[Incoming]:
        _, entries, *_ = client.xautoclaim(self.stream, self._group, self._name, self._idle, count=limit)
        if not entries:
            return []
        counts = {
            one["message_id"]: one["times_delivered"]
            for one in client.xpending_range(
                self.stream, self._group, entries[0][0], entries[-1][0], limit, self._name
            )
        }
        return [_incoming(key, fields, counts.get(key, 2)) for key, fields in entries if fields is not None]

    def _new(self, client: Any, limit: int, wait: float) -> list[Incoming]:
        found = client.xreadgroup(
            self._group, self._name, {self.stream: ">"}, count=limit, block=max(1, int(wait * 1000))
        )
        entries = next(iter(found.values())) if isinstance(found, dict) else found[0][1] if found else []
        if entries and isinstance(entries[0], list):
            entries = entries[0]
        return [_incoming(key, fields, 1) for key, fields in entries]


class Sink(_Stream):
    """One stream, to which entries are added."""

    def __init__(self, address: str) -> None:
        super().__init__(address, may=("maxlen",), expected=_TO)
        self._most = whole(self.options, "maxlen", None)
        self.ask(lambda client: client.ping())

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Add entries, in one transaction."""

        def do(client: Any) -> None:
            with client.pipeline(transaction=True) as all_:
                for message in messages:
                    all_.xadd(
                        self.stream,
                        {"id": message.id, "body": message.body},
                        maxlen=self._most,
                        approximate=True,
                    )
                all_.execute()

        self.ask(do)


def _incoming(key: bytes, fields: dict[bytes, bytes], delivery: int) -> Incoming:
    name = fields.get(b"id", key).decode(errors="replace")
    return Incoming(name, fields.get(b"body", b""), int(delivery), key)
