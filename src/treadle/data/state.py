"""What the ledger knows of a dataset: its nature, its versions, the files that were read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, delete, insert, select, update

from treadle.core.records import DatasetVersion, Record, from_json, to_json
from treadle.data.pins import Pin
from treadle.store.ledger.tables import (
    dataset_versions,
    datasets,
    ingested_files,
    micros,
    moment,
    put,
    put_all,
    source_positions,
)

#: Paths that one statement names.
_AT_ONCE = 500
#: Stands where a problem names its file, for problems of all new rows together.
WHOLE = "(the new rows)"
Status = Literal["read", "problem"]


class _Aside(msgspec.Struct):
    """What of a version's record says how many rows were put aside."""

    quarantined: int = 0


_ASIDE = msgspec.json.Decoder(_Aside)


class FileRecord(Record, frozen=True, kw_only=True):
    """One file as the ledger knows it."""

    part: str
    path: str
    #: Mark of the content without opening it, digest of the content, and for a problem the digest of how it was read.
    stamp: str
    content: str
    reader: str = ""
    status: Status = "read"
    reason: str = ""
    #: Rows in the file.
    rows: int = 0

    @property
    def fingerprint(self) -> str:
        """The three marks as the ledger stores them."""
        return ":".join((self.stamp, self.content, self.reader))

    def holds(self, reader: str) -> bool:
        """Whether the file need not be read again: it was read, or what is in it cannot be read in this way."""
        return self.status == "read" or (self.reader == reader and bool(self.content))


@dataclass(frozen=True)
class State:
    """A dataset's state at one moment."""

    pin: Pin | None = None
    last: DatasetVersion | None = None
    #: By part and path: what was seen there, oldest first.
    files: Mapping[tuple[str, str], list[FileRecord]] = field(default_factory=dict)
    #: By part: how far a source that is read in order was read.
    positions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def seen(self, part: str, path: str) -> list[FileRecord]:
        """Return what is known of one file."""
        return self.files.get((part, path), [])


def read_state(connection: Connection, name: str) -> State:
    """Return what the ledger knows of a dataset."""
    pin = read_pin(connection, name)
    positions = read_positions(connection, name)
    if pin is None and not positions and not connection.execute(_files(name).limit(1)).first():
        return State()
    files: dict[tuple[str, str], list[FileRecord]] = {}
    for row in connection.execute(_files(name)):
        record = _file(
            row.part, row.path, row.fingerprint, status=row.status, reason=row.reason, rows=row.rows
        )
        files.setdefault((row.part, row.path), []).append(record)
    return State(pin, read_version(connection, name, None), files, positions)


def read_positions(connection: Connection, name: str) -> dict[str, Mapping[str, Any]]:
    """Return by part how far a source that is read in order was read."""
    c = source_positions.c
    rows = connection.execute(select(c.part, c.body).where(c.dataset == name))
    return {row.part: msgspec.json.decode(row.body) for row in rows}


def write_position(connection: Connection, name: str, *, part: str, position: Mapping[str, Any]) -> None:
    """Store how far a source was read."""
    put(
        connection,
        source_positions,
        dataset=name,
        part=part,
        body=msgspec.json.encode(dict(position)).decode(),
    )


def read_pin(connection: Connection, name: str) -> Pin | None:
    """Return the nature of a dataset, or None where nothing was ingested yet."""
    body = connection.execute(select(datasets.c.body).where(datasets.c.name == name)).scalar()
    return None if body is None else from_json(body, Pin)


def read_version(connection: Connection, name: str, version: int | None) -> DatasetVersion | None:
    """Return one version of a dataset, the newest by default, or None."""
    rows = dataset_versions
    query = select(rows.c.body).where(rows.c.dataset == name).order_by(rows.c.version.desc()).limit(1)
    body = connection.execute(query if version is None else query.where(rows.c.version == version)).scalar()
    return None if body is None else from_json(body, DatasetVersion)


def number_at(connection: Connection, name: str, at: int) -> int:
    """Return the number of the version that was the newest at a moment (microseconds since 1970); 0: there was none."""
    c = dataset_versions.c
    found = (
        select(c.version)
        .where((c.dataset == name) & (c.created_at <= at))
        .order_by(c.version.desc())
        .limit(1)
    )
    return connection.execute(found).scalar() or 0


def read_versions(connection: Connection, name: str, *, after: int = 0) -> list[DatasetVersion]:
    """Return every version of a dataset after one, oldest first."""
    c = dataset_versions.c
    query = select(c.body).where(c.dataset == name, c.version > after).order_by(c.version)
    return [from_json(body, DatasetVersion) for body in connection.execute(query).scalars()]


def read_quarantined(connection: Connection, name: str) -> int:
    """Return how many rows were put aside over all versions of a dataset; of each version nothing else is read."""
    query = select(dataset_versions.c.body).where(dataset_versions.c.dataset == name)
    return sum(_ASIDE.decode(body).quarantined for body in connection.execute(query).scalars())


def read_problems(connection: Connection, name: str) -> list[str]:
    """Return the present problems with whole files, by part and path."""
    rows = connection.execute(_files(name).where(ingested_files.c.status == "problem"))
    return [row.reason for row in rows]


def read_all_problems(connection: Connection) -> dict[str, list[tuple[str, datetime]]]:
    """Return the present problems with whole files of all datasets: reason and moment, oldest first."""
    c = ingested_files.c
    wanted = select(c.dataset, c.reason, c.at).where(c.status == "problem", c.path != WHOLE)
    found: dict[str, list[tuple[str, datetime]]] = {}
    for row in connection.execute(wanted.order_by(c.at, c.path)):
        found.setdefault(row.dataset, []).append((row.reason, moment(row.at)))
    return found


def write_pin(connection: Connection, pin: Pin) -> None:
    """Store the nature of a dataset."""
    put(connection, datasets, name=pin.name, body=to_json(pin))


def write_version(connection: Connection, version: DatasetVersion) -> None:
    """Store a version; its number must be new."""
    connection.execute(
        insert(dataset_versions).values(
            dataset=version.dataset,
            version=version.version,
            created_at=micros(version.created_at),
            why=version.why,
            body=to_json(version),
        )
    )


def replace_version(connection: Connection, version: DatasetVersion) -> None:
    """Store a version's record again: it holds the same rows, and its tables were tidied."""
    c = dataset_versions.c
    connection.execute(
        update(dataset_versions)
        .where((c.dataset == version.dataset) & (c.version == version.version))
        .values(body=to_json(version))
    )


def write_files(
    connection: Connection, name: str, files: Iterable[FileRecord], *, version: int | None, at: int
) -> None:
    """Store what became of files; an older problem of the same path is over."""
    known = list(files)
    for start in range(0, len(known), _AT_ONCE):
        some = known[start : start + _AT_ONCE]
        for part in {file.part for file in some}:
            paths = [file.path for file in some if file.part == part]
            c = ingested_files.c
            of_part = (c.dataset == name) & (c.part == part) & c.path.in_(paths)
            connection.execute(delete(ingested_files).where(of_part, c.status == "problem"))
    rows = [
        {
            "dataset": name,
            "part": file.part,
            "path": file.path,
            "fingerprint": file.fingerprint,
            "version": version,
            "rows": file.rows,
            "status": file.status,
            "reason": file.reason,
            "at": at,
        }
        for file in known
    ]
    put_all(connection, ingested_files, rows)


def write_stamp(connection: Connection, name: str, old: FileRecord, *, stamp: str) -> None:
    """Note that a file was touched and holds what it held."""
    fresh = msgspec.structs.replace(old, stamp=stamp)
    connection.execute(
        update(ingested_files)
        .where(_place(name, old.part, old.path), ingested_files.c.fingerprint == old.fingerprint)
        .values(fingerprint=fresh.fingerprint)
    )


def forget_problem(connection: Connection, name: str, *, part: str, path: str) -> None:
    """Remove the problem of a file that is gone or has changed."""
    connection.execute(
        delete(ingested_files).where(_place(name, part, path), ingested_files.c.status == "problem")
    )


def _files(name: str) -> Select[tuple[str, str, str, str, str, int]]:
    c = ingested_files.c
    columns = (c.part, c.path, c.fingerprint, c.status, c.reason, c.rows)
    return select(*columns).where(c.dataset == name).order_by(c.part, c.path, c.at)


def _place(name: str, part: str, path: str) -> ColumnElement[bool]:
    c = ingested_files.c
    return (c.dataset == name) & (c.part == part) & (c.path == path)


def _file(part: str, path: str, fingerprint: str, *, status: Any, reason: str, rows: int) -> FileRecord:
    stamp, content, reader = fingerprint.split(":")
    return FileRecord(
        part=part,
        path=path,
        stamp=stamp,
        content=content,
        reader=reader,
        status=status,
        reason=reason,
        rows=rows,
    )
