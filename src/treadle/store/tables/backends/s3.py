"""Tables in an S3 bucket that honours conditional PUT."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

import obstore
from deltalake import DeltaTable

from treadle.store.places import Place
from treadle.store.s3 import probe, scan_options, speaking, store_of, table_options
from treadle.store.tables.failures import speaking as speaking_of_table

_LOG = "_delta_log"


class Backend:
    """A bucket, or what stands under a prefix in one; a table is a prefix below that."""

    def __init__(self, place: Place, *, options: Mapping[str, str]) -> None:
        self.shown = place.url
        self.options = table_options(options)
        self.scan_options = scan_options(options)
        self._store = store_of(place, options=options)

    def probe(self) -> None:
        """Make sure that the bucket refuses to overwrite a commit.

        Raises:
            StoreUnavailable: it overwrites, or does not answer.
        """
        probe(self._store, shown=self.shown)

    def uri(self, name: str) -> str:
        """Return the table's address."""
        return f"{self.shown}/{name}"

    def stamp(self, name: str, version: int) -> str:
        """Return what tells the log entry of a version from another that takes its place; empty: there is none."""
        with speaking("tables", self.shown):
            try:
                entry = obstore.head(self._store, f"{name}/{_LOG}/{version:020d}.json")
            except FileNotFoundError:
                return ""
        return f"{entry['e_tag']} {entry['last_modified']}"

    def settle(self, name: str, *, after: int, to: int) -> None:
        """Do nothing: what a bucket has acknowledged is durable."""

    def mend(self, name: str, *, base: int | None) -> bool:  # noqa: ARG002 - one bucket entry is never torn
        """Return False: what a bucket holds is whole."""
        return False

    def sharing(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - the bucket refuses to overwrite
        """Keep nobody out: of two writers of one version the bucket lets one win."""
        return nullcontext()

    def settled(self, name: str) -> int | None:  # noqa: ARG002 - every version is
        """Return None: what a bucket holds counts."""
        return None

    def note_settled(self, name: str, version: int) -> None:
        """Do nothing: what a bucket has acknowledged is durable."""

    def checkpoint(self, name: str) -> None:
        """Write a checkpoint of the newest version."""
        with speaking_of_table(self.shown, table=name):
            DeltaTable(self.uri(name), storage_options=self.options).create_checkpoint()

    def files(self, name: str) -> list[str]:
        """Return the names of a table's data files; a bucket shows no half-written ones."""
        with speaking("tables", self.shown):
            found = obstore.list_with_delimiter(self._store, name)["objects"]
        return [each["path"].rpartition("/")[2] for each in found]

    def log(self, name: str, *, before: datetime | None = None) -> list[str]:
        """Return the names of the files of a table's log; perhaps only those last written before a moment."""
        with speaking("tables", self.shown):
            found = obstore.list_with_delimiter(self._store, f"{name}/{_LOG}")["objects"]
        meant = [each for each in found if before is None or each["last_modified"] < before]
        return [f"{_LOG}/{each['path'].rpartition('/')[2]}" for each in meant]

    def remove(self, name: str, files: Collection[str]) -> None:
        """Remove some of the files that `files` and `log` named."""
        with speaking("tables", self.shown):
            obstore.delete(self._store, [f"{name}/{file}" for file in files])

    def names(self) -> list[str]:
        """Return the names of all tables, sorted."""
        with speaking("tables", self.shown):
            return sorted(self._below(""))

    def drop(self, name: str) -> None:
        """Remove a table's files; nothing happens where there is none.

        The log goes first, so that a table is never there with some of its rows missing.
        """
        with speaking("tables", self.shown):
            paths = [found["path"] for page in obstore.list(self._store, f"{name}/") for found in page]
            log = [path for path in paths if path.startswith(f"{name}/{_LOG}/")]
            obstore.delete(self._store, sorted(log, reverse=True))
            obstore.delete(self._store, sorted(set(paths) - set(log)))

    def _below(self, prefix: str) -> list[str]:
        folders = obstore.list_with_delimiter(self._store, prefix or None)["common_prefixes"]
        if any(folder.rpartition("/")[2] == _LOG for folder in folders):
            # Some servers go on listing a folder from which everything has been deleted.
            return [prefix] if next(iter(obstore.list(self._store, f"{prefix}/{_LOG}/")), None) else []
        return [name for folder in folders for name in self._below(folder)]
