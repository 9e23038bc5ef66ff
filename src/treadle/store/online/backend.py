"""What an online back end must bring: nine verbs on keys, and no knowledge of features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

#: Bytes at the start of each value that say which of two values of a key is the newer, by comparison of bytes.
ORDER = 28
#: Bytes that a key may have at most.
LONGEST_KEY = 511


class State(NamedTuple):
    """What is known of a namespace."""

    #: What its writer noted last.
    head: bytes
    #: How many keys it has.
    keys: int


class Backend(Protocol):
    """A place that holds the newest value of each key: class `Backend` of a plug-in module of kind `online`.

    A namespace is the text that its keys begin with. It has a head, bytes that whoever writes into it notes there; every
    change of values names the head that it expects, in the same atomic step. So a writer that was taken for dead
    changes nothing any more once another has noted a new head, nor does one whose store was emptied meanwhile.

    Every verb raises `StoreUnavailable`, `StoreFull` or `StoreReadOnly` where the place fails; none waits for longer
    than the time-outs of its settings.
    """

    #: The place, for messages, without its password.
    shown: str
    #: Whether it is files of this machine: a read of them is quick, and waits for nobody.
    is_local: bool

    def __init__(self, url: str, *, root: Path, timeout: float) -> None: ...

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, or None, in one round trip and within the time-out."""
        ...

    def put(self, namespace: bytes, items: Sequence[tuple[bytes, bytes]], *, head: bytes) -> int:
        """Store each value whose first `ORDER` bytes are not less than those of the stored one; return how many.

        `Conflict` where the namespace's head is another; parts of the items may be stored then.
        """
        ...

    def delete(self, namespace: bytes, keys: Sequence[bytes], *, head: bytes) -> int:
        """Remove keys and return how many there were; `Conflict` where the namespace's head is another."""
        ...

    def scan(self, namespace: bytes) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield the keys of a namespace with the first `ORDER` bytes of their values, in lists, in no order."""
        ...

    def state(self, namespace: bytes) -> State | None:
        """Return the head of a namespace and its number of keys; None: nobody has written into it."""
        ...

    def note(self, namespace: bytes, head: bytes | None, *, was: bytes | None = None) -> None:
        """Set the head of a namespace, or forget it (None); with `was`, `Conflict` where the head is another."""
        ...

    def namespaces(self) -> list[bytes]:
        """Return the namespaces that have a head, sorted."""
        ...

    def tidy(self) -> None:
        """Leave no byte of what was deleted in the place's files, and give their space back."""
        ...

    def close(self) -> None:
        """Let go of files and connections; nothing may be called afterwards."""
        ...
