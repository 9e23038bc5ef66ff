"""Features that a request does not send: what is to be read of the online store or computed, and the rows until it has been.

An embedded store is read where the request is. One on another machine may not answer, so whoever reads a request is given
rows with `wanted`, and decides where to wait for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec
import numpy as np

from treadle.core.errors import InvalidInput, StoreUnavailable, TreadleError
from treadle.serving.requests import Batch

Lacking = tuple[dict[str, str] | None, ...] | None


class Found(Protocol):
    """What an online read gave: the features of all views for each row."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The features, in order."""
        ...

    @property
    def rows(self) -> list[list[Any]]:
        """The values of each row, in the order of `schema`."""
        ...

    @property
    def at(self) -> datetime:
        """The moment as of which they hold."""
        ...

    @property
    def problem(self) -> str:
        """Why the store gave nothing; empty: it answered."""
        ...

    def lacking(self) -> list[dict[str, str]]:
        """Return of each row which views had no value for it, as `missing` or `stale`."""
        ...


class OnlineRead(Protocol):
    """Reads feature views for entities given as columns."""

    @property
    def patience(self) -> float:
        """Seconds that a request waits for a read; 0: the store is files of this machine, and read at once."""
        ...

    def __call__(self, views: Sequence[str], entities: Mapping[str, Sequence[Any]], /) -> Found:
        """Return what the store has for each row; as its policy says where it does not answer."""
        ...

    def without(
        self, views: Sequence[str], entities: Mapping[str, Sequence[Any]], error: StoreUnavailable, /
    ) -> Found:
        """Return what a request gets that has stopped waiting, as the store's policy says: nulls, or the error."""
        ...


class Fetches(Protocol):
    """Reads for the requests of one event loop."""

    async def read(self, wanted: Wanted, /) -> Found:
        """Return what the store has for a request, or what its policy says instead."""
        ...


class Needed(Protocol):
    """What rows wait for: a read, or a computation."""

    def read(self) -> Any:
        """Get it, and wait for it."""
        ...

    async def arrive(self, fetching: Fetches, /) -> Any:
        """Get it, while the event loop does other things."""
        ...


class ViewsGone(StoreUnavailable):
    """The views that a version in use reads are not there any more; the store may well answer for others."""


class Wanted(msgspec.Struct, frozen=True):
    """One read."""

    online: OnlineRead
    views: tuple[str, ...]
    #: Entity column → the value of each row.
    entities: Mapping[str, Sequence[Any]]
    #: The features that were not sent, for messages.
    missed: Sequence[str]

    @property
    def rows(self) -> int:
        """How many rows it is for."""
        return len(next(iter(self.entities.values())))

    def read(self) -> Found:
        """Ask the store, and wait for it.

        Raises:
            InvalidInput: an entity is not of its type.
            StoreUnavailable: the store does not answer, and its policy is `error`; or the views are not there any more.
        """
        try:
            return self.online(self.views, self.entities)
        except (InvalidInput, StoreUnavailable):
            raise
        except TreadleError as error:
            raise self._gone(error) from error

    async def arrive(self, fetching: Fetches) -> Found:
        """Ask the store in a thread, while the event loop does other things; see `read`."""
        return await fetching.read(self)

    def without(self, error: StoreUnavailable) -> Found:
        """Return what is answered instead of a read that nobody waits for any more.

        Raises:
            StoreUnavailable: the store's policy is `error`, or the views are not there any more.
        """
        try:
            return self.online.without(self.views, self.entities, error)
        except StoreUnavailable:
            raise
        except TreadleError as gone:
            raise self._gone(gone) from gone

    def _gone(self, error: TreadleError) -> ViewsGone:
        msg = f"The features {', '.join(self.missed)} cannot be read online: {error} Send them with the request."
        return ViewsGone(msg)


class Open(Batch, kw_only=True, gc=True):
    """Rows of which features are still to be read or computed; `fill` makes them rows as any, or asks for the next thing."""

    #: What is to be had.
    wanted: Needed
    #: Makes the rows of what came.
    then: Callable[[Any], Batch]

    @classmethod
    def of(cls, rows: int, wanted: Needed, then: Callable[[Any], Batch]) -> Open:
        """Return so many rows for which something is wanted, and `then` makes them of what came."""
        return cls(rows, {}, _nothing_yet, is_open=True, wanted=wanted, then=then)

    def fill(self, found: Any) -> None:
        """Take what came.

        Raises:
            InvalidInput: a feature is missing that the model cannot do without.
            StoreUnavailable: the same, and the store does not answer.
            FeatureFailed: a feature could not be computed.
        """
        made = self.then(found)
        self.lacking, self.as_of = _told(self.lacking, made.lacking), made.as_of or self.as_of
        if isinstance(made, Open):
            self.wanted, self.then = made.wanted, made.then
            return
        self.is_open = False
        self.rows, self.values = made.rows, made.values
        self.encode = lambda _: made.columns


def _told(before: Lacking, now: Lacking) -> Lacking:
    """Return what lacks in each row after the second of two steps."""
    if before is None or now is None:
        return before or now
    return tuple({**(one or {}), **(other or {})} or None for one, other in zip(before, now, strict=True))


def _nothing_yet(_: object) -> dict[str, np.ndarray]:
    msg = "features of these rows have not been read yet"
    raise AssertionError(msg)


def whole(batch: Batch) -> Batch:
    """Return rows with all their features, which are read here where they are still to be.

    Raises:
        InvalidInput, StoreUnavailable: as for `Wanted.read` and `Open.fill`.
    """
    while isinstance(batch, Open) and batch.is_open:
        batch.fill(batch.wanted.read())
    return batch
