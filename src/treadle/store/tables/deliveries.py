"""Deliveries to tables that many writers share: each once, and with the version of its commit in its rows where that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from deltalake import DeltaTable

from treadle.core.errors import Conflict
from treadle.store.tables import commits
from treadle.store.tables.backend import Backend

#: How often a delivery that lost a race for the next version is tried.
_TRIES = 20


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """The delivery of a sender, which numbers them upward."""

    sender: str
    number: int
    #: The column that gets the version of the commit. It is known beforehand, as a commit that was overtaken is not put after the other.
    stamp: str | None = None

    def tried(self, deliver: Callable[[], bool]) -> bool:
        """Return what `deliver` says, which is asked again where the version was taken meanwhile.

        Raises:
            Conflict: it always was.
        """
        for _ in range(_TRIES if self.stamp else 0):
            try:
                return deliver()
            except Conflict:
                continue
        return deliver()

    def add(
        self, rows: pl.DataFrame, *, to: DeltaTable | None, backend: Backend, name: str
    ) -> DeltaTable | None:
        """Add the rows to a table, or make one of them, and return the table; None: they were delivered already."""
        if to is not None and (to.transaction_version(self.sender) or 0) >= self.number:
            return None
        if to is not None and self.stamp and self.stamp not in commits.columns_of(to):
            commits.add_columns(to, {self.stamp: pl.Int64()})
        if self.stamp:
            following = 0 if to is None else to.version() + 1
            rows = rows.with_columns(pl.lit(following, pl.Int64).alias(self.stamp))
        commit = commits.delivery(self.sender, self.number, alone=self.stamp is not None)
        if to is None:
            return commits.create(backend, name, rows, commit=commit, over=None)
        commits.add(to, rows, commit=commit, name=name)
        return to
