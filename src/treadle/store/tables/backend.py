"""What a tables back end must bring: the address of a table, and how to look after its files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from treadle.store.places import Place


class Backend(Protocol):
    """A place that holds versioned tables: class `Backend` of a plug-in module of kind `tables`.

    Every verb raises `StoreUnavailable`, `StoreFull` or `StoreReadOnly` where the place fails.
    """

    #: The place, for messages.
    shown: str
    #: Storage options for delta-rs.
    options: dict[str, str]
    #: Storage options for Polars.
    scan_options: dict[str, str]

    def __init__(self, place: Place, *, options: Mapping[str, str]) -> None: ...

    def probe(self) -> None:
        """Make sure that two writers cannot both win the same table version."""
        ...

    def uri(self, name: str) -> str:
        """Return the address of a table."""
        ...

    def stamp(self, name: str, version: int) -> str:
        """Return what tells the log entry of a version from another that takes its place; empty: there is none."""
        ...

    def settle(self, name: str, *, after: int, to: int) -> None:
        """Wait until the commits after one version, up to another, would survive a power cut."""
        ...

    def mend(self, name: str, *, base: int | None) -> bool:
        """Remove log entries after `base` that a power cut left unreadable; return whether there were any."""
        ...

    def sharing(self, name: str) -> AbstractContextManager[None]:
        """Write to a table that many writers share and no ledger counts: what is not settled is taken back first."""
        ...

    def settled(self, name: str) -> int | None:
        """Return the version of a shared table that counts, -1 for none yet; None: the newest one does."""
        ...

    def note_settled(self, name: str, version: int) -> None:
        """Let a version of a shared table count, after `settle`."""
        ...

    def checkpoint(self, name: str) -> None:
        """Write a checkpoint of a table's newest version, durably and in one step."""
        ...

    def files(self, name: str) -> list[str]:
        """Return the names of a table's data files, and of what writers that were killed left beside them."""
        ...

    def log(self, name: str, *, before: datetime | None = None) -> list[str]:
        """Return the names of the files of a table's log, as `_delta_log/00000000000000000000.json`; perhaps only those last written before a moment."""
        ...

    def remove(self, name: str, files: Collection[str]) -> None:
        """Remove some of the files that `files` and `log` named."""
        ...

    def names(self) -> list[str]:
        """Return the names of all tables, sorted."""
        ...

    def drop(self, name: str) -> None:
        """Remove a table's files; nothing happens where there is none."""
        ...
