"""Targets: a part of a feature view in an online store, and the head that says how far it has been written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import polars as pl

from treadle.features.packing import is_before
from treadle.features.parts import Part
from treadle.store.online.online import Online


class Head(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the head of a namespace says; moments are microseconds since 1970."""

    #: Who wrote last, or writes now.
    writer: str = ""
    #: Counts how often everything was written anew.
    generation: int = 0
    #: Whether that is going on.
    renewing: bool = False
    #: The dataset version of which everything is there that could be seen at `until`; 0: none yet.
    version: int = 0
    until: int | None = None
    #: The earliest moment at which more of that version can be seen; None: nothing more is to come.
    waiting: int | None = None
    #: The latest view time that was written.
    newest: int | None = None
    #: When it was written.
    at: int | None = None

    def is_due(self, moment: int) -> bool:
        """Say whether more of the version can be seen at a moment than was written."""
        return self.waiting is not None and self.waiting <= moment

    def is_current(self, *, version: int, until: int) -> bool:
        """Say whether nothing is left to be written of a version at a moment."""
        return self.version == version and not self.renewing and not self.is_due(until)

    def pack(self) -> bytes:
        """Return the head as bytes."""
        return msgspec.msgpack.encode(self)


def head_of(store: Online, namespace: bytes) -> Head:
    """Return what a store says about a namespace."""
    found = store.state(namespace)
    return msgspec.msgpack.decode(found.head, type=Head) if found else Head()


@dataclass(frozen=True)
class Target:
    """A part of a view, in a store. Whoever writes notes a head of their own first, and holds the view's lease."""

    store: Online
    part: Part

    @property
    def head(self) -> Head:
        """What the store says about it."""
        return head_of(self.store, self.part.namespace)

    @property
    def entities(self) -> int:
        """How many entities have a value."""
        found = self.store.state(self.part.namespace)
        return found.keys if found else 0

    def note(self, head: Head, *, was: Head | None = None) -> Head:
        """Set the head, and return it; see `Online.note`."""
        self.store.note(self.part.namespace, head.pack(), was=None if was is None else was.pack())
        return head

    def put(self, rows: pl.DataFrame, head: Head) -> int:
        """Store rows, as `Layout.pack` takes them, and return how many took the place of older ones."""
        layout = self.part.layout
        values = layout.pack(rows, generation=head.generation)
        return self.put_packed(list(zip(layout.keys(self.part.namespace, rows), values, strict=True)), head)

    def put_packed(self, items: Sequence[tuple[bytes, bytes]], head: Head) -> int:
        """Store packed values, and return how many took the place of older ones."""
        return self.store.put(self.part.namespace, items, head=head.pack())

    def remove_older(self, head: Head) -> None:
        """Remove what was written before the head's generation."""
        for batch in self.store.scan(self.part.namespace):
            old = [key for key, order in batch if is_before(order, head.generation)]
            if old:
                self.store.delete(self.part.namespace, old, head=head.pack())
