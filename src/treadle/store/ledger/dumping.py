"""A ledger as one file: all its rows of one moment, written to SQLite, and read back into a ledger of any kind."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Table, select

from treadle.core.errors import Conflict
from treadle.store.ledger.ledger import Ledger
from treadle.store.ledger.tables import leases, metadata, servers

_AT_ONCE = 1_000
#: What running processes say of themselves: it means nothing elsewhere, or later.
_LIVING = {servers.name}


def dump(ledger: Ledger, to: Path) -> int:
    """Write all rows of one moment to a new SQLite file and return how many; the ledger can be written to meanwhile.

    Raises:
        StoreUnavailable: the ledger does not answer, or the file cannot be written.
    """
    target = Ledger.open(f"sqlite:///{to.name}", root=to.parent)
    with target, ledger.read() as source, target.write() as into:
        return _copied(source, into)


def load(file: Path, ledger: Ledger) -> int:
    """Put the rows of a dump into an empty ledger, all in one transaction, and return how many.

    A dump that an earlier release made is upgraded first, in its file.

    Raises:
        Conflict: the ledger is not empty.
        SchemaTooNew: a newer Treadle made the dump.
    """
    origin = Ledger.open(f"sqlite:///{file.name}", root=file.parent)
    with origin, origin.read() as source, ledger.write() as into:
        name = first_filled(into)
        if name:
            msg = (
                f"The ledger {ledger.url} is not empty: its table {name!r} has rows. Restore into a new one."
            )
            raise Conflict(msg)
        return _copied(source, into)


def first_filled(connection: Connection) -> str:
    """Return the name of a table that has rows; empty: the ledger has none but those of running processes."""
    living = {*_LIVING, leases.name}
    filled = (table.name for table in _tables() if table.name not in living and _has_rows(connection, table))
    return next(filled, "")


def _copied(source: Connection, into: Connection) -> int:
    count = 0
    for table in _tables():
        for rows in source.execute(select(table)).mappings().partitions(_AT_ONCE):
            # Who held a lease holds nothing of the copy; its token goes on growing from here.
            changed = {"expires_at": 0} if table.name == leases.name else {}
            into.execute(table.insert(), [{**row, **changed} for row in rows])
            count += len(rows)
    return count


def _has_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(1).select_from(table).limit(1)).first() is not None


def _tables() -> list[Table]:
    return [table for table in metadata.sorted_tables if table.name not in _LIVING]
