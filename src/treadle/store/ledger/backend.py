"""What a ledger back end must bring: a connection, and the words for what goes wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from treadle.core.errors import StoreUnavailable

#: Execution option that a back end reads at `BEGIN`: whether the transaction writes.
WRITES = "treadle_write"


class Backend(Protocol):
    """A kind of database that can hold the ledger: class `Backend` of a plug-in module of kind `ledger`."""

    #: Gives connections; at `BEGIN` it reads the execution option `WRITES`.
    engine: Engine
    #: The address without its password, for messages.
    shown: str
    #: SQL that gives the microseconds since 1970 on the clock that all users of the ledger share.
    now: str

    def __init__(self, url: URL, *, root: Path, schema: str, timeout: float) -> None: ...

    def is_stale(self, connection: Connection) -> bool:
        """Return whether a pooled connection no longer leads to the ledger.

        Raises:
            StoreUnavailable: the ledger is gone.
        """
        ...

    def begin_write(self, connection: Connection) -> None:
        """Make the transaction just begun the only one that writes."""
        ...

    def begin_upgrade(self, connection: Connection) -> None:
        """Prepare the transaction just begun for a change of the tables; nobody else may change them."""
        ...

    def explain(self, error: DBAPIError) -> StoreUnavailable | None:
        """Return what a driver's error means for the store; None: the statement itself is at fault."""
        ...

    def may_pass(self, error: DBAPIError) -> bool:
        """Return whether connecting again, a little later, may succeed."""
        ...

    def pulse(self, connection: Connection) -> str:
        """Return a text that is another one after a write; it may change without one, but not often. Cheap."""
        ...

    def still(self) -> str:
        """Return a text that is the same as long as nothing is written; empty: that is not known for certain. Opens no transaction."""
        ...

    def integrity(self, connection: Connection) -> str:
        """Return `ok`, or what is wrong."""
        ...
