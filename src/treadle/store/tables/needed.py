"""Which files a table is read from at one of its versions: what a copy of it has to hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable

from treadle.core import plugins
from treadle.core.errors import NotFound
from treadle.store.places import place_of
from treadle.store.tables.backend import Backend
from treadle.store.tables.commits import version_of
from treadle.store.tables.failures import speaking

_CHECKPOINT = ".checkpoint"
_ENTRY = ".json"


def open_backend(url: str, *, root: Path, options: Mapping[str, str]) -> Backend:
    """Return the back end of the tables at a place, without asking the place anything."""
    place = place_of(url, root=root)
    found: Backend = plugins.load("tables", place.kind).Backend(place, options=options)
    return found


def needed(backend: Backend, name: str, *, version: int | None) -> list[str]:
    """Return the files of a table at a version (None: the one that counts now) and of its log up to there; the log last.

    Names are relative to the table; there are none where no version counts yet.

    Raises:
        NotFound: a part of the log went while it was listed.
        StoreUnavailable: the table cannot be read.
    """
    counts = backend.settled(name) if version is None else version
    if counts is not None and counts < 0:
        return []
    with speaking(backend.shown, table=name):
        table = DeltaTable(backend.uri(name), version=counts, storage_options=backend.options)
        data = sorted(unquote(uri.rpartition("/")[2]) for uri in table.file_uris())
    log = sorted(
        entry
        for entry in backend.log(name)
        if entry.endswith((_ENTRY, ".parquet")) and 0 <= version_of(entry) <= table.version()
    )
    _check(log, table.version(), name=name)
    return [*data, *log]


def _check(log: Collection[str], version: int, *, name: str) -> None:
    """Make sure that a version can be read from these files of a log."""
    first = max((version_of(entry) for entry in log if _CHECKPOINT in entry), default=-1)
    there = {version_of(entry) for entry in log if entry.endswith(_ENTRY)}
    missing = next((number for number in range(first + 1, version + 1) if number not in there), None)
    if missing is not None:
        msg = f"The log of the table {name!r} lacks its version {missing}."
        raise NotFound(msg)
