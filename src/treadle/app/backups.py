"""Backups: the whole state of a project of one moment, made while it is in use, and put back anywhere.

The order makes it one moment: first what servers on this machine have logged and nobody has shipped yet, then the ledger, which
says what counts, then the files that it speaks of. Those never change, so they can be copied while others are added.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import treadle
from treadle.core import plugins, settings
from treadle.core.errors import Busy, InvalidInput, NotFound, StoreUnavailable
from treadle.core.ids import digest_of_bytes, new_id
from treadle.core.progress import Progress
from treadle.data.commits import known_versions
from treadle.serving import spool, wal
from treadle.store.backups import Backup, Backups, Held
from treadle.store.ledger.dumping import dump
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.backend import Backend
from treadle.store.objects.contents import PREFIX as TREES
from treadle.store.places import Place, place_of
from treadle.store.tables.needed import needed, open_backend

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

LEDGER, LOG, OBJECTS, TABLES = "ledger", "log", "objects", "tables"
#: Files that are copied at once: most of the time goes by in waiting for disks and servers.
AT_ONCE = 8
_LEASE = "backup"
_LEASE_SECONDS = 60.0
_TRIES = 3
_DUMP = "ledger.db"
_DELTA_LOG = "_delta_log/"


class Raw(NamedTuple):
    """The files of a store as they are, whatever it means by them."""

    place: Place
    backend: Backend

    @classmethod
    def open(cls, url: str, *, root: Path) -> Raw:
        """Use the place that a store's setting names."""
        place = place_of(url, root=root)
        return cls(place, plugins.load("objects", place.kind).Backend(place, options=settings.aws_options()))

    def local(self, key: str, *, beside: Path) -> Path:
        """Return a file of the store as a local one: itself, or a copy in the folder `beside`.

        Raises:
            NotFound: there is none.
        """
        if self.place.kind == "folder":
            return self.place.path / key
        path = beside / new_id()
        with path.open("wb") as file:
            file.writelines(self.backend.read(key))
        return path


def backup(workspace: Workspace, to: str, *, keep: int | None, progress: Progress) -> Backup:
    """Write a backup of a project to a folder or bucket, beside those that are there, of which perhaps only the newest stay.

    Raises:
        InvalidInput: `keep` is below 1, or the place has backups of another project.
        Busy: another backup of this project is being made, or versions are collected all the time.
        StoreUnavailable: a store does not answer, or is full.
    """
    if keep is not None and keep < 1:
        msg = f"keep = {keep} would remove the backup that is made. Expected a whole number of at least 1."
        raise InvalidInput(msg, field="keep")
    there = Backups.open(to, root=workspace.root, options=settings.aws_options())
    older = _own(there.all(), workspace.settings.project.name, place=there.shown)
    with workspace.ledger.lease(
        _LEASE, holder="treadle backup", ttl=_LEASE_SECONDS, clock=workspace.clock
    ) as lease:
        last = older[-1] if older else None
        made = _repeated(lambda: _Making(workspace, there, last, progress).run())
        with workspace.ledger.write() as connection:
            lease.check(connection)
        there.write(made)
        if keep is not None and len(older) >= keep:
            there.remove(older[: len(older) + 1 - keep])
    return made


class _Making:
    """The making of one backup."""

    def __init__(self, workspace: Workspace, there: Backups, last: Backup | None, progress: Progress) -> None:
        self._workspace = workspace
        self._progress = progress
        self._there = there
        self._at = workspace.clock.now()
        self._known = _unchanging(there.files(last)) if last else {}
        self._held = there.held()
        self._lock = threading.Lock()
        self._added = 0

    def run(self) -> Backup:
        workspace = self._workspace
        with TemporaryDirectory(prefix="treadle-backup-") as beside:
            folder = Path(beside)
            files = [*self._waiting()]
            dump(workspace.ledger, folder / _DUMP)
            files.append(self._keep(folder / _DUMP, at=LEDGER))
            with Ledger.open(f"sqlite:///{_DUMP}", root=folder) as ledger:
                counting, revision = _counting(ledger, workspace), ledger.revision()
            objects = Raw.open(workspace.settings.objects.url, root=workspace.root)
            files += self._copied(OBJECTS, objects, _keys(objects), beside=folder)
            tables = Raw.open(workspace.settings.tables.url, root=workspace.root)
            files += self._copied(TABLES, tables, _needed(workspace, counting), beside=folder)
        return Backup(
            id=new_id(),
            at=self._at,
            project=workspace.settings.project.name,
            release=treadle.__version__,
            revision=revision,
            files=len(files),
            size=sum(held.size for held in files),
            added=self._added,
            listed=self._there.list_files(files),
        )

    def _waiting(self) -> Iterator[Held]:
        """Keep what waits in the logs of this machine; what is shipped meanwhile is in the tables, which come later."""
        logs = self._workspace.root / spool.LOGS
        for folder in spool.folders(logs):
            for path in wal.segments(folder):
                content = _content(path)
                if content is not None:
                    yield self._keep(content, at=f"{LOG}/{folder.name}/{path.name}")

    def _copied(self, part: str, raw: Raw, keys: Iterable[str], *, beside: Path) -> list[Held]:
        wanted = list(keys)
        self._progress.step(f"backup: {part}")
        copied: list[Held] = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for held in pool.map(partial(self._copy, part, raw, beside=beside), wanted):
                copied.append(held)
                self._progress.advance(len(copied), len(wanted))
        return copied

    def _copy(self, part: str, raw: Raw, key: str, *, beside: Path) -> Held:
        at = f"{part}/{key}"
        known = self._known.get(at)
        if known and known.digest in self._held:
            return known
        path = raw.local(key, beside=beside)
        try:
            return self._keep_again(path, at=at) if _DELTA_LOG in at else self._keep(path, at=at)
        finally:
            if raw.place.kind != "folder":
                path.unlink()

    def _keep_again(self, path: Path, *, at: str) -> Held:
        """Keep an entry of a log, of which most are there already: one that is, is not written again."""
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            msg = f"{at} went while it was copied."
            raise NotFound(msg) from error
        digest = digest_of_bytes(content)
        is_there = digest in self._held
        return Held(at, digest, len(content)) if is_there else self._keep(content, at=at)

    def _keep(self, content: bytes | Path, *, at: str) -> Held:
        try:
            held = self._there.keep(content, at=at)
        except NotFound as error:
            msg = f"No folder can be made at {self._there.shown}. Name a place for backups that can be written to."
            raise StoreUnavailable(msg) from error
        except FileNotFoundError as error:
            msg = f"{at} went while it was copied."
            raise NotFound(msg) from error
        with self._lock:
            if self._held.setdefault(held.digest, -1) < 0:
                self._held[held.digest] = held.size
                self._added += held.size
        return held


def _repeated(make: Callable[[], Backup]) -> Backup:
    """Make a backup anew where files went in between, as they do when versions are collected."""
    for _ in range(_TRIES - 1):
        try:
            return make()
        except NotFound:
            continue
    try:
        return make()
    except NotFound as error:
        msg = f"Files went while they were copied, {_TRIES} times ({error}). Repeat this when nothing is collected."
        raise Busy(msg) from error


def _own(backups: list[Backup], project: str, *, place: str) -> list[Backup]:
    other = next((one for one in backups if one.project != project), None)
    if other is not None:
        msg = f"{place} has backups of the project {other.project!r}, and this one is {project!r}. Name another place."
        raise InvalidInput(msg)
    return backups


def _unchanging(files: list[Held]) -> Mapping[str, Held]:
    """Return those files of an earlier backup that never change under their name: all but logs and the ledger."""
    return {
        held.path: held
        for held in files
        if held.path.startswith((f"{OBJECTS}/", f"{TABLES}/")) and _DELTA_LOG not in held.path
    }


def _counting(ledger: Ledger, workspace: Workspace) -> dict[str, int | None]:
    """Return by table the version that a ledger knows."""
    from treadle.data.datasets import Datasets

    datasets = Datasets(ledger=ledger, tables=workspace.tables, clock=workspace.clock, root=workspace.root)
    newest = [datasets.version(name) for name in datasets.names()]
    return {table: version for last in newest for table, version in known_versions(last).items()}


def _keys(raw: Raw) -> list[str]:
    return [key for prefix in ("sha256", TREES) for key, _ in raw.backend.list(prefix)]


def _needed(workspace: Workspace, counting: Mapping[str, int | None]) -> Iterator[str]:
    backend = open_backend(workspace.settings.tables.url, root=workspace.root, options=settings.aws_options())
    for name in backend.names():
        # A table of a dataset at which the ledger has not arrived yet does not count.
        if name not in counting or counting[name] is not None:
            for file in needed(backend, name, version=counting.get(name)):
                yield f"{name}/{file}"


def _content(path: Path) -> bytes | None:
    """Return a segment's bytes, perhaps under the name that it has since it was completed; None: it was shipped."""
    for candidate in (path, path.with_suffix(wal.SEALED)):
        try:
            return candidate.read_bytes()
        except FileNotFoundError:
            continue
    return None
