"""A place of backups: each is a list of files and their digests; contents that several of them have are there once.

A backup counts from the moment at which its own small file is written, last of all: what a killed one left is used by the next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from treadle.core import plugins
from treadle.core.encoded import from_json, to_json
from treadle.core.errors import InvalidInput, NotFound, not_found
from treadle.core.records import Record
from treadle.store.objects.backend import Backend
from treadle.store.objects.objects import Objects
from treadle.store.places import place_of

#: The form in which backups are written; a reader refuses a newer one.
FORM = 1
_BACKUPS, _SUFFIX = "backups", ".json"


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A file of a backup."""

    #: Where it belongs: `ledger`, or below `objects/`, `tables/` or `log/`.
    path: str
    digest: str
    #: In bytes.
    size: int


class Backup(Record, frozen=True, kw_only=True):
    """A backup that is complete."""

    id: str
    #: What was acknowledged before this moment is in it.
    at: datetime
    project: str
    #: The Treadle that made it, and the revision of its ledger.
    release: str
    revision: str
    #: Files, and bytes of all of them; `added` are bytes that no earlier backup at the place had.
    files: int
    size: int
    added: int
    #: Digest of the list of files.
    listed: str
    form: int = FORM


class Backups:
    """A folder or a bucket with backups of one project.

    >>> Backups.open("/mnt/backups/flights", root=Path(), options={}).all()       # doctest: +SKIP
    """

    def __init__(self, backend: Backend, contents: Objects) -> None:
        self._backend = backend
        self._contents = contents
        self.shown = backend.shown

    @classmethod
    def open(cls, url: str, *, root: Path, options: Mapping[str, str]) -> Backups:
        """Use the backups in a folder (relative to `root`) or under `s3://bucket/prefix`; nothing is read or written yet.

        Raises:
            NotFound: no back end knows this kind of URL.
        """
        place = place_of(url, root=root)
        backend = plugins.load("objects", place.kind).Backend(place, options=options)
        return cls(backend, Objects(backend))

    def all(self) -> list[Backup]:
        """Return the backups at the place, the oldest first.

        Raises:
            StoreUnavailable: the place does not answer.
        """
        keys = sorted(key for key, _ in self._backend.list(_BACKUPS) if key.endswith(_SUFFIX))
        return [self._read(key) for key in keys]

    def get(self, name: str = "") -> Backup:
        """Return a backup by its id, or the newest.

        Raises:
            NotFound: there is none.
        """
        there = self.all()
        if not there:
            msg = f"There is no backup in {self.shown}. Make one with: treadle backup {self.shown}"
            raise NotFound(msg)
        found = [one for one in there if not name or one.id == name]
        if not found:
            raise not_found("backup", name, [one.id for one in there])
        return found[-1]

    def files(self, backup: Backup) -> list[Held]:
        """Return the files of a backup.

        Raises:
            DigestMismatch, NotFound: the list is damaged or gone.
        """
        return msgspec.msgpack.decode(self._contents.get(backup.listed), type=list[Held])

    def held(self) -> dict[str, int]:
        """Return the digests of all contents at the place, and their sizes."""
        return dict(self._contents.list())

    def keep(self, content: bytes | Path, *, at: str) -> Held:
        """Store a content, which belongs at a path, and return what it is in a backup."""
        if isinstance(content, Path):
            return Held(at, self._contents.put_file(content), content.stat().st_size)
        return Held(at, self._contents.put(content), len(content))

    def fetch(self, held: Held, to: Path) -> Path:
        """Write a file of a backup to a path, checked.

        Raises:
            DigestMismatch, NotFound: its content is damaged or gone.
        """
        return self._contents.fetch(held.digest, to)

    def list_files(self, files: Sequence[Held]) -> str:
        """Store the list of the files of a backup, and return its digest."""
        return self._contents.put(msgspec.msgpack.encode(files))

    def write(self, backup: Backup) -> None:
        """Let a backup count, whose files and list are there."""
        self._backend.put(f"{_BACKUPS}/{backup.id}{_SUFFIX}", to_json(backup).encode())

    def remove(self, backups: Collection[Backup]) -> int:
        """Remove backups and the contents that no other one has; return the bytes of these."""
        for one in backups:
            self._backend.delete(f"{_BACKUPS}/{one.id}{_SUFFIX}")
        left = self.all()
        needed = {held.digest for one in left for held in self.files(one)} | {one.listed for one in left}
        gone = {digest: size for digest, size in self.held().items() if digest not in needed}
        for digest in gone:
            self._contents.delete(digest)
        return sum(gone.values())

    def _read(self, key: str) -> Backup:
        found = from_json(b"".join(self._backend.read(key)).decode(), Backup)
        if found.form > FORM:
            msg = (
                f"The backup {found.id} in {self.shown} was made by Treadle {found.release}, in a form that this one does not "
                f"know ({found.form}, expected at most {FORM}). Install that release or a later one."
            )
            raise InvalidInput(msg)
        return found
