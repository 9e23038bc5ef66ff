"""Online values in Redis: one MGET a read, and writes by scripts, each of which is one atomic step.

Heads and numbers of keys are in the hashes `treadle:heads` and `treadle:counts`; values are plain strings, so memory can be
counted by key. One server, or one with replicas: a Redis Cluster would put the keys of a read on several servers.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from treadle.core.errors import Conflict, SettingsError, StoreUnavailable
from treadle.core.optional import require
from treadle.store.failures import full, read_only
from treadle.store.online.backend import ORDER, State

_HEADS, _COUNTS = b"treadle:heads", b"treadle:counts"
_AT_ONCE = 500  # items of a script: about a millisecond, during which the server answers nobody else
_WRITE_SECONDS = 5.0
_REFUSED = -1

_GUARD = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return -1 end
"""
_NUMBERS = ORDER // 4
#: Lua compares strings by the server's locale: so orders are compared as numbers, of 32 bits as it has no larger ones.
_PUT = (
    _GUARD
    + f"""
local function is_older(new, old)
    local a, b = {{struct.unpack('>{"I4" * _NUMBERS}', new)}}, {{struct.unpack('>{"I4" * _NUMBERS}', old)}}
    for i = 1, {_NUMBERS} do
        if a[i] ~= b[i] then return a[i] < b[i] end
    end
    return false
end
local olds, newer, count, fresh = redis.call('MGET', unpack(KEYS, 3)), {{}}, 0, 0
for i = 3, #KEYS do
    local old = olds[i - 2]
    if not (old and is_older(ARGV[i], old)) then
        newer[count + 1], newer[count + 2] = KEYS[i], ARGV[i]
        count = count + 2
        if not old then fresh = fresh + 1 end
    end
end
if count > 0 then redis.call('MSET', unpack(newer)) end
if fresh > 0 then redis.call('HINCRBY', KEYS[2], ARGV[1], fresh) end
return count / 2
"""
)
_DELETE = (
    _GUARD
    + """
local removed = 0
for i = 3, #KEYS do removed = removed + redis.call('DEL', KEYS[i]) end
if removed > 0 then redis.call('HINCRBY', KEYS[2], ARGV[1], -removed) end
return removed
"""
)
_NOTE = """
if ARGV[2] ~= '' and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return -1 end
if ARGV[3] == '' then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('HDEL', KEYS[2], ARGV[1])
else
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    redis.call('HINCRBY', KEYS[2], ARGV[1], 0)
end
return 0
"""


class Backend:
    """A Redis server; reads and writes have connections of their own."""

    is_local = False

    def __init__(self, url: str, *, root: Path, timeout: float) -> None:  # noqa: ARG002 - for folders
        redis = self._redis = require("redis", extra="redis")
        parts = urlsplit(url)
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._half = timeout / 2
        try:
            self._pool = self._connections(url, seconds=self._half, retries=0)
            self._client = redis.Redis(
                connection_pool=self._connections(url, seconds=_WRITE_SECONDS, retries=3)
            )
        except ValueError as error:
            msg = f"online.url is not a Redis URL: {error}. Expected redis://user:password@host:port/database"
            raise SettingsError(msg) from error
        self._put, self._delete, self._note = map(self._client.register_script, (_PUT, _DELETE, _NOTE))
        self._idle: list[Any] = []
        # A child must not talk on its parent's connections: each would read the other's answers.
        os.register_at_fork(after_in_child=partial(_forget_connections, weakref.ref(self)))

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, or None, by one MGET."""
        if not keys:
            return []
        with self._failures():
            return self._asked(keys)

    def put(self, namespace: bytes, items: Sequence[tuple[bytes, bytes]], *, head: bytes) -> int:
        """Store each value that is not older than the stored one; a piece of the items in each script."""
        written = 0
        for start in range(0, len(items), _AT_ONCE):
            keys, values = zip(*items[start : start + _AT_ONCE], strict=True)
            written += self._run(self._put, keys, [namespace, head, *values])
        return written

    def delete(self, namespace: bytes, keys: Sequence[bytes], *, head: bytes) -> int:
        """Remove keys and return how many there were; a piece of them in each script."""
        removed = 0
        for start in range(0, len(keys), _AT_ONCE):
            removed += self._run(self._delete, keys[start : start + _AT_ONCE], [namespace, head])
        return removed

    def scan(self, namespace: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield keys and orders; the server goes through all its keys for it."""
        cursor = 0
        while True:
            with self._failures():
                cursor, keys = self._client.scan(cursor, match=_escaped(namespace) + b"*", count=1000)
                with self._client.pipeline(transaction=False) as asking:
                    for key in keys:
                        asking.getrange(key, 0, ORDER - 1)
                    found = list(zip(keys, asking.execute(), strict=True))
            if found:
                yield found
            if not cursor:
                return

    def state(self, namespace: bytes) -> State | None:
        """Return the head of a namespace and its number of keys."""
        with self._failures(), self._client.pipeline(transaction=True) as asking:
            asking.hget(_HEADS, namespace)
            asking.hget(_COUNTS, namespace)
            head, count = asking.execute()
        return None if head is None else State(head, int(count or 0))

    def note(self, namespace: bytes, head: bytes | None, *, was: bytes | None = None) -> None:
        """Set or forget the head of a namespace."""
        self._run(self._note, [], [namespace, was or b"", head or b""])

    def namespaces(self) -> list[bytes]:
        """Return the namespaces that have a head, sorted."""
        with self._failures():
            return sorted(self._client.hkeys(_HEADS))

    def tidy(self) -> None:
        """Do nothing: memory is free at once, and the server writes its files anew by itself."""

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().disconnect()
        self._client.connection_pool.disconnect()

    def _connections(self, url: str, *, seconds: float, retries: int) -> Any:
        backoff = self._redis.backoff.ExponentialBackoff(cap=0.5, base=0.05)
        return self._redis.ConnectionPool.from_url(
            url,
            # The older protocol has no notifications that would have to be asked for on each connection.
            protocol=2,
            driver_info=None,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=self._redis.retry.Retry(backoff, retries),
        )

    def _asked(self, keys: Sequence[bytes]) -> list[bytes | None]:
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._answer(self._connected(), keys)
        try:
            return self._answer(connection, keys)
        except self._redis.ConnectionError:
            # The server was restarted since: what is idle was connected to the one before.
            self._idle.clear()
        return self._answer(self._connected(), keys)

    def _answer(self, connection: Any, keys: Sequence[bytes]) -> list[bytes | None]:
        connection.send_command("MGET", *keys, check_health=False)
        found: list[bytes | None] = connection.read_response()
        self._idle.append(connection)
        return found

    def _connected(self) -> Any:
        """Return a new connection; asking for a host's address knows no time-out, so a thread of its own does it."""
        connection = self._pool.make_connection()
        done: Future[Any] = Future()

        def connect() -> None:
            try:
                connection.connect()
            except (OSError, self._redis.RedisError) as error:
                done.set_exception(error)
            else:
                done.set_result(connection)

        threading.Thread(target=connect, name="treadle-online", daemon=True).start()
        try:
            return done.result(self._half)
        except TimeoutError as error:
            msg = f"no connection within {self._half:g} s"
            raise self._redis.TimeoutError(msg) from error

    def _run(self, script: Any, keys: Sequence[bytes], arguments: Sequence[bytes]) -> int:
        with self._failures():
            found = int(script(keys=[_HEADS, _COUNTS, *keys], args=arguments))
        if found == _REFUSED:
            msg = (
                f"Somebody else writes into {arguments[0].decode()!r} of the online store {self.shown}, "
                "or it was emptied meanwhile. Repeat the command."
            )
            raise Conflict(msg)
        return found

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except self._redis.exceptions.OutOfMemoryError as error:
            raise full("online", self.shown) from error
        except self._redis.ReadOnlyError as error:
            raise read_only("online", self.shown, str(error)) from error
        except (OSError, self._redis.RedisError) as error:
            msg = f"The online store {self.shown} does not answer: {error}. See to the server, and to online.url."
            raise StoreUnavailable(msg) from error


def _forget_connections(backend: weakref.ref[Backend]) -> None:
    if (found := backend()) is not None:
        found._idle = []


def _escaped(text: bytes) -> bytes:
    """Return a text so that it stands for itself in a pattern."""
    for mark in (b"\\", b"*", b"?", b"[", b"]"):
        text = text.replace(mark, b"\\" + mark)
    return text
