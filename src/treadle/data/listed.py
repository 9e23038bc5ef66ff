"""Which datasets and versions there are: lists that are read from the ledger alone."""

from __future__ import annotations

from sqlalchemy import select

from treadle.core.paging import USUAL, Paged
from treadle.core.records import DatasetVersion
from treadle.data import state as stored
from treadle.store.ledger import paging
from treadle.store.ledger import tables as relations
from treadle.store.ledger.ledger import Ledger


class Listed:
    """The part of `Datasets` that lists."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def names(self) -> list[str]:
        """Return the names of all datasets that have a version, sorted."""
        with self._ledger.read() as connection:
            return sorted(connection.execute(select(relations.datasets.c.name)).scalars())

    def versions(self, name: str, *, after: int = 0) -> list[DatasetVersion]:
        """Return every version after one, oldest first; none where nothing was ingested yet."""
        with self._ledger.read() as connection:
            return stored.read_versions(connection, name, after=after)

    def page(self, name: str, *, after: str = "", limit: int = USUAL) -> Paged[DatasetVersion]:
        """Return one part of the versions, the newest first; none where nothing was ingested yet."""
        rows = relations.dataset_versions
        chosen = select(rows.c.body).where(rows.c.dataset == name)
        with self._ledger.read() as connection:
            return paging.part(
                connection, chosen, DatasetVersion, by=[rows.c.version], after=after, limit=limit
            )

    def problems(self, name: str) -> list[str]:
        """Return the present problems with whole files, as `path: reason`."""
        with self._ledger.read() as connection:
            return stored.read_problems(connection, name)
