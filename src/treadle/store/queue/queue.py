"""The queue: messages that are kept until whoever takes them says that they are done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from treadle.core import plugins
from treadle.core.errors import InvalidInput, StoreUnavailable
from treadle.store.online.breaker import Breaker
from treadle.store.queue.backend import Backend, Message, Parked, State

#: Bytes of the longest id, and bytes of the largest message: what a job needs is kept elsewhere.
LONGEST_ID, LARGEST = 200, 1 << 20


class Queue:
    """Messages for any taker, at least once; see `backend.Backend` for what that promises.

    >>> queue.put([("job-1", b"do it")])                                    # doctest: +SKIP
    >>> for message in queue.take(1, wait=5.0):                             # doctest: +SKIP
    ...     queue.acknowledge(message)
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._breaker = Breaker(failures=1, pause=1.0)

    @classmethod
    def open(
        cls, url: str, *, root: Path, lease: float = 30.0, crashes: int = 3, timeout: float = 0.8
    ) -> Queue:
        """Use the queue in a folder (relative to `root`), or at a URL as `amqp://user@host:5672/vhost/queue`.

        `lease` is how many seconds a taker that does not extend keeps a message, `crashes` after how many takers that
        died it is parked, `timeout` how many seconds anything waits for the place. Nothing is read or written yet.

        Raises:
            NotFound: no back end knows this kind of URL.
            MissingExtra: the library of the back end is not installed.
        """
        found = plugins.load("queue", _kind(url)).Backend(
            url, root=root, lease=lease, crashes=crashes, timeout=timeout
        )
        return cls(found)

    @property
    def shown(self) -> str:
        """The place, for messages, without its password."""
        return self._backend.shown

    def put(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Keep messages, each with its id; when this returns, they are safe. Repeat it where it failed.

        After a failure this fails at once for a second, so that callers do not queue up before a place that is gone.

        Raises:
            InvalidInput: an id or a message is too long.
            StoreUnavailable: they may or may not be kept.
        """
        for name, body in items:
            check_id(name)
            _check_size(name, body)
        self._breaker.wait()
        try:
            self._backend.put(items)
        except StoreUnavailable as error:
            self._breaker.failed(error)
            raise
        self._breaker.passed()

    def check(self) -> None:
        """Fail if `put` would fail at once, as it does for a second after a failure; the place is not asked.

        Raises:
            StoreUnavailable: as the last failure was.
        """
        self._breaker.check()

    def take(self, limit: int = 1, *, wait: float = 0.0) -> list[Message]:
        """Return up to `limit` messages, the oldest first, as soon as there is one; none after `wait` seconds."""
        return self._backend.take(limit, wait=wait)

    def extend(self, messages: Sequence[Message]) -> None:
        """Let the leases of messages begin anew.

        Raises:
            LeaseLost: one of them has been given to somebody else, or will be.
        """
        self._backend.extend(messages)

    def acknowledge(self, message: Message) -> None:
        """Forget a message, for it is done.

        Raises:
            LeaseLost: it has been given to somebody else, or will be.
        """
        self._backend.acknowledge(message)

    def release(self, message: Message) -> None:
        """Give a message back, to be taken by anybody at once.

        Raises:
            LeaseLost: as for `acknowledge`.
        """
        self._backend.release(message)

    def park(self, message: Message, reason: str) -> None:
        """Put a message aside with a reason, until a person decides.

        Raises:
            LeaseLost: as for `acknowledge`.
        """
        self._backend.park(message, reason)

    def state(self) -> State:
        """Return how many messages wait, are worked on, and are parked."""
        return self._backend.state()

    def parked(self, limit: int = 100) -> list[Parked]:
        """Return what was put aside, the oldest first."""
        return self._backend.parked(limit)

    def retry(self, ids: Sequence[str]) -> int:
        """Let parked messages be taken again, as if they were new; return how many there were."""
        return self._backend.retry(ids)

    def drop(self, ids: Sequence[str]) -> int:
        """Forget parked messages; return how many there were."""
        return self._backend.drop(ids)

    def close(self) -> None:
        """Let go of files and connections."""
        self._backend.close()


def _kind(url: str) -> str:
    """Return the plug-in's name: a folder is `embedded`, AMQP is `rabbitmq`."""
    scheme = urlsplit(url).scheme if "://" in url else "file"
    return {"file": "embedded", "amqp": "rabbitmq", "amqps": "rabbitmq"}.get(scheme, scheme)


def check_id(name: str) -> None:
    """Make sure that a message can be called this.

    Raises:
        InvalidInput: it is empty, too long, or cannot be printed.
    """
    # What cannot be encoded cannot be printed either.
    if not name.isprintable() or not 0 < len(name.encode()) <= LONGEST_ID:
        msg = f"{name[:60]!r} cannot be the id of a message. Expected 1 to {LONGEST_ID} bytes of printable characters."
        raise InvalidInput(msg, field="id")


def _check_size(name: str, body: bytes) -> None:
    if len(body) > LARGEST:
        msg = f"The message {name} has {len(body)} bytes. Expected at most {LARGEST}: keep what is larger elsewhere."
        raise InvalidInput(msg)
