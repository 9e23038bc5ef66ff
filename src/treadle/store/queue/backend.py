"""What a queue's back end must bring: eleven verbs on messages, and no knowledge of what they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Message(NamedTuple):
    """A message that was taken, and belongs to whoever took it until the lease ends."""

    #: What its sender called it.
    id: str
    body: bytes
    #: Which delivery this is; the first is 1.
    delivery: int
    #: What the back end needs to know it again.
    receipt: Any


class Parked(NamedTuple):
    """A message that nobody is given any more, until a person decides."""

    id: str
    body: bytes
    reason: str


class State(NamedTuple):
    """How many messages there are."""

    #: Those that wait.
    ready: int
    #: Those that somebody works on; None: the place does not tell.
    leased: int | None
    parked: int


class Backend(Protocol):
    """A place that keeps messages until they are acknowledged: class `Backend` of a plug-in module of kind `queue`.

    A message that was put survives the death of every process and a power cut. It is given to one taker at a time, at
    least once; a taker that dies loses it within `lease` seconds and one more, or at once where the place notices. After
    `crashes` deliveries that were neither acknowledged nor released it is parked, with the reason.

    Every verb raises `StoreUnavailable`, `StoreFull` or `StoreReadOnly` where the place fails, and none but `take` waits
    longer than about `timeout` seconds.
    """

    #: The place, for messages, without its password.
    shown: str

    def __init__(self, url: str, *, root: Path, lease: float, crashes: int, timeout: float) -> None: ...

    def put(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Keep messages, each with its id; when this returns, they are on the disk. May be repeated.

        An id that is there already is kept once where the place can tell, else twice: takers must bear a repetition.
        """
        ...

    def take(self, limit: int, *, wait: float) -> list[Message]:
        """Return up to `limit` messages, the oldest first, as soon as there is one; none when `wait` seconds have passed."""
        ...

    def extend(self, messages: Sequence[Message]) -> None:
        """Let the leases of messages begin anew.

        Raises:
            LeaseLost: one of them has been given to somebody else, or will be.
        """
        ...

    def acknowledge(self, message: Message) -> None:
        """Forget a message, for it is done; `LeaseLost` as for `extend`."""
        ...

    def release(self, message: Message) -> None:
        """Give a message back, to be taken by anybody at once; `LeaseLost` as for `extend`."""
        ...

    def park(self, message: Message, reason: str) -> None:
        """Put a message aside with a reason; `LeaseLost` as for `extend`."""
        ...

    def state(self) -> State:
        """Return how many messages there are."""
        ...

    def parked(self, limit: int) -> list[Parked]:
        """Return what was put aside, the oldest first."""
        ...

    def retry(self, ids: Sequence[str]) -> int:
        """Let parked messages be taken again, as if they were new; return how many there were."""
        ...

    def drop(self, ids: Sequence[str]) -> int:
        """Forget parked messages; return how many there were."""
        ...

    def close(self) -> None:
        """Let go of files and connections; what was taken and not acknowledged may be given to others."""
        ...
