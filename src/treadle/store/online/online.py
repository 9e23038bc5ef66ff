"""The online store: the newest value of each key, read many at a time while somebody waits for the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from treadle.core import plugins
from treadle.core.errors import InvalidInput, StoreUnavailable
from treadle.store.online.backend import LONGEST_KEY, Backend, State
from treadle.store.online.breaker import Breaker


class Online:
    """Newest values by key, in namespaces; see `backend.Backend` for what a namespace and its head are.

    >>> online.get([b"treadle/shop/prices/2f0c/apple"])                     # doctest: +SKIP
    [None]
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._breaker = Breaker()

    @classmethod
    def open(cls, url: str, *, root: Path, timeout: float = 0.04) -> Online:
        """Use the store in a folder (relative to `root`), or at a URL as `redis://host:port/database`.

        `timeout` is how many seconds a read waits at most. Nothing is read or written yet.

        Raises:
            NotFound: no back end knows this kind of URL.
            MissingExtra: the library of the back end is not installed.
        """
        return cls(plugins.load("online", _kind(url)).Backend(url, root=root, timeout=timeout))

    @property
    def shown(self) -> str:
        """The place, for messages, without its password."""
        return self._backend.shown

    @property
    def is_local(self) -> bool:
        """Whether it is files of this machine, so that a read waits for nobody."""
        return self._backend.is_local

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, or None where there is none, in one round trip.

        Where the store has failed several times in a row, this fails at once for a second before it is tried again.

        Raises:
            StoreUnavailable: the store does not answer in time.
        """
        breaker = self._breaker
        if breaker.is_troubled:
            breaker.wait()
        try:
            found = self._backend.get(keys)
        except StoreUnavailable as error:
            breaker.failed(error)
            raise
        if breaker.is_troubled:
            breaker.passed()
        return found

    def put(self, namespace: bytes, items: Sequence[tuple[bytes, bytes]], *, head: bytes) -> int:
        """Store each value that is not older than the stored one, and return how many were.

        Which is older is decided by the first `ORDER` bytes of the values. Putting the same again changes nothing.

        Raises:
            Conflict: the namespace's head is another: somebody else writes now, or the store was emptied.
            InvalidInput: a key is too long, or not of the namespace.
            StoreUnavailable: the store failed; part of the items may be there.
        """
        _check(namespace, [key for key, _ in items])
        return self._backend.put(namespace, items, head=head)

    def delete(self, namespace: bytes, keys: Sequence[bytes], *, head: bytes) -> int:
        """Remove keys and return how many there were.

        Raises:
            Conflict: the namespace's head is another.
        """
        _check(namespace, keys)
        return self._backend.delete(namespace, keys, head=head)

    def scan(self, namespace: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield the keys of a namespace, each with the first `ORDER` bytes of its value, in lists, in no order."""
        return self._backend.scan(namespace)

    def state(self, namespace: bytes) -> State | None:
        """Return the head of a namespace and its number of keys; None: nobody has written into it."""
        return self._backend.state(namespace)

    def note(self, namespace: bytes, head: bytes, *, was: bytes | None = None) -> None:
        """Set the head of a namespace; with `was`, only where that is what it is now.

        Raises:
            Conflict: it is not.
        """
        self._backend.note(namespace, head, was=was)

    def clear(self, namespace: bytes) -> int:
        """Remove a namespace with all its keys, and return how many there were; repeat it if it was interrupted."""
        found = self._backend.state(namespace)
        if found is None:
            return 0
        removed = 0
        for batch in self._backend.scan(namespace):
            removed += self._backend.delete(namespace, [key for key, _ in batch], head=found.head)
        self._backend.note(namespace, None, was=found.head)
        return removed

    def namespaces(self, prefix: bytes = b"") -> list[bytes]:
        """Return the namespaces that begin with a prefix, sorted."""
        return [name for name in self._backend.namespaces() if name.startswith(prefix)]

    def tidy(self) -> None:
        """Leave no byte of what was deleted in the store's files, and give their space back; cheap where there is nothing."""
        self._backend.tidy()

    def close(self) -> None:
        """Let go of files and connections."""
        self._backend.close()


def _kind(url: str) -> str:
    """Return the plug-in's name: the URL's scheme, without the `s` of TLS; a folder is `embedded`."""
    scheme = urlsplit(url).scheme if "://" in url else "file"
    if scheme == "file":
        return "embedded"
    return scheme if scheme in plugins.available("online") else scheme.removesuffix("s")


def _check(namespace: bytes, keys: Sequence[bytes]) -> None:
    if max(map(len, keys), default=0) <= LONGEST_KEY and all(key.startswith(namespace) for key in keys):
        return
    wrong = next(key for key in keys if len(key) > LONGEST_KEY or not key.startswith(namespace))
    msg = f"{wrong!r} cannot be a key of the namespace {namespace!r}. Expected at most {LONGEST_KEY} bytes that begin with it."
    raise InvalidInput(msg)
