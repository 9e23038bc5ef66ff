"""Tables in a folder."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from deltalake import DeltaTable

from treadle.core.clock import SystemClock
from treadle.store.failures import of_os_error
from treadle.store.files import flush_file, flush_folder, make_folder, replacing
from treadle.store.places import Place
from treadle.store.tables.commits import version_of
from treadle.store.tables.failures import speaking

_LOG = "_delta_log"
#: Beside the log of a table that many writers share: the version up to which a power cut changes nothing.
_SETTLED = "_settled"
#: Which checkpoint to begin with.
_POINTER = "_last_checkpoint"
#: Where a checkpoint is made; names with this beginning are no data to Delta.
_BESIDE = "_checkpoint-"
#: Seconds after which an unfinished one belongs to nobody.
_ABANDONED = 3600
#: Part of the name of a log entry that was being written when its writer died.
_STAGED = "#"


class Backend:
    """A folder; a table is a folder in it."""

    def __init__(self, place: Place, *, options: Mapping[str, str]) -> None:  # noqa: ARG002 - for S3
        self.shown = place.url
        self.options: dict[str, str] = {}
        self.scan_options: dict[str, str] = {}
        self._root = place.path

    def probe(self) -> None:
        """Do nothing: a local rename that refuses to overwrite is certain."""

    def uri(self, name: str) -> str:
        """Return the table's folder."""
        return str(self._root.resolve() / name)

    def stamp(self, name: str, version: int) -> str:
        """Return what tells the log entry of a version from another that takes its place; empty: there is none."""
        try:
            entry = os.stat(f"{self.uri(name)}/{_LOG}/{version:020d}.json")  # noqa: PTH116 - asked before each commit
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise of_os_error(error, store="tables", place=self.shown) from error
        return f"{entry.st_ino} {entry.st_mtime_ns} {entry.st_size}"

    def settle(self, name: str, *, after: int, to: int) -> None:
        """Flush the log entries of some commits, their data files and checkpoints, and the folders.

        Entries that a killed writer left in between count too: a gap in the log would make later ones unreadable. They are
        written anew, as their own flush may have failed, and what a flush has failed to write no later one writes.
        """
        table, log = self._root / name, self._root / name / _LOG
        with self._failures():
            # A log may be long, so it is searched for checkpoints only where there is one to find.
            is_checkpointed = _is_checkpointed(log, since=after)
            for version in range(after + 1, to + 1):
                entry = log / f"{version:020d}.json"
                checkpoints = log.glob(f"{version:020d}.checkpoint*") if is_checkpointed else ()
                about = [*checkpoints, entry]
                for path in (*_data_files(table, entry), log / _POINTER, *(about if version == to else ())):
                    if path.exists():
                        flush_file(path)
                for path in about if version < to else ():
                    _write_anew(path)
            above = [table, *(folder for folder in table.parents if folder.is_relative_to(self._root.parent))]
            for folder in (log, *(above if after < 0 else above[:1])):
                flush_folder(folder)

    def mend(self, name: str, *, base: int | None) -> bool:
        """Remove log entries after `base` that a power cut left unreadable; return whether there were any.

        `settle` had not flushed them, so no ledger knows them.
        """
        log = self._root / name / _LOG
        newest = -1 if base is None else base
        with self._failures():
            later = [path for path in log.glob("[0-9]*") if int(path.name.partition(".")[0]) > newest]
            for path in sorted(later, reverse=True):
                path.unlink()
            if later:
                (log / _POINTER).unlink(missing_ok=True)
                flush_folder(log)
        return bool(later)

    @contextmanager
    def sharing(self, name: str) -> Iterator[None]:
        """Keep other writers from a table, and take back what one that died had not settled.

        Whether a power cut has torn it cannot be told for certain, and its rows still wait where they came from.
        """
        table = self._root / name
        with self._failures():
            make_folder(table)
            handle = os.open(table, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with self._failures():
                fcntl.flock(handle, fcntl.LOCK_EX)
                os.fsync(handle)  # the note is there, but to flush its name may have failed
                known = self.settled(name)
                if known is None:  # a table from before this was noted, or a new one
                    self.note_settled(name, self._newest(name))
                elif self._newest(name) > known:
                    self.mend(name, base=known)
            yield
        finally:
            os.close(handle)

    def settled(self, name: str) -> int | None:
        """Return the version of a shared table that counts, -1 for none yet; None: the newest one does."""
        table = self._root / name
        with self._failures():
            try:
                known = int((table / _SETTLED).read_text())
            except FileNotFoundError:
                return None
            # A backup that was made meanwhile may hold an older log than note.
            is_there = known < 0 or (table / _LOG / f"{known:020d}.json").exists()
            return known if is_there else None

    def note_settled(self, name: str, version: int) -> None:
        """Let a version of a shared table count, after `settle`."""
        with self._failures(), replacing(self._root / name / _SETTLED) as file:
            file.write(f"{version}".encode())

    def checkpoint(self, name: str) -> None:
        """Write a checkpoint of the newest version, whole or not at all, also after a power cut.

        delta-rs gives it its name before it is on the disk, so it is made beside the log first.
        """
        table, log = self._root / name, self._root / name / _LOG
        with self._failures():
            _sweep(table)
            with TemporaryDirectory(dir=table, prefix=_BESIDE) as folder:
                beside = Path(folder).resolve() / _LOG
                beside.mkdir()
                for each in _needed(os.listdir(log)):  # noqa: PTH208 - of names a log has many
                    _link(log / each, beside / each)
                with speaking(self.shown, table=name):
                    DeltaTable(str(beside.parent)).create_checkpoint()
                made = set(os.listdir(beside))  # noqa: PTH208
                fresh = made.difference(os.listdir(log))  # noqa: PTH208 - of names a log has many
                # The pointer goes last: it may not point at nothing. Where another was quicker there is none.
                for some in (fresh - {_POINTER}, {_POINTER} & made):
                    for each in some:
                        flush_file(beside / each)
                        (beside / each).replace(log / each)
                    flush_folder(log)

    def files(self, name: str) -> list[str]:
        """Return the names of a table's data files, and of what writers that were killed left beside them."""
        table = self._root / name
        with self._failures():
            data = [path.name for path in table.iterdir() if path.is_file() and path.name != _SETTLED]
            staged = [f"{_LOG}/{path.name}" for path in (table / _LOG).iterdir() if _STAGED in path.name]
        return data + staged

    def log(self, name: str, *, before: datetime | None = None) -> list[str]:
        """Return the names of the files of a table's log; perhaps only those last written before a moment."""
        with self._failures():
            paths = (self._root / name / _LOG).iterdir()
            last = before.timestamp() if before else None
            return [f"{_LOG}/{p.name}" for p in paths if last is None or p.stat().st_mtime < last]

    def remove(self, name: str, files: Collection[str]) -> None:
        """Remove some of the files that `files` and `log` named."""
        with self._failures():
            for file in files:
                (self._root / name / file).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of all tables, sorted."""
        found = []
        with self._failures():
            for folder, folders, _ in os.walk(self._root):
                if _LOG in folders:
                    found.append(Path(folder).relative_to(self._root).as_posix())
                    folders.clear()
        return sorted(found)

    def drop(self, name: str) -> None:
        """Remove a table's folder; nothing happens where there is none."""
        with self._failures():
            if (self._root / name).exists():
                shutil.rmtree(self._root / name)

    def _newest(self, name: str) -> int:
        try:
            entries = os.listdir(self._root / name / _LOG)  # noqa: PTH208 - of names a log has many
        except FileNotFoundError:
            return -1
        return max(map(version_of, entries), default=-1)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise of_os_error(error, store="tables", place=self.shown) from error


def _is_checkpointed(log: Path, *, since: int) -> bool:
    """Say whether one of the commits after a version made a checkpoint."""
    try:
        newest: int = json.loads((log / _POINTER).read_bytes())["version"]
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError):
        return True
    return newest > since


def _sweep(table: Path) -> None:
    """Remove what makers of checkpoints that were killed left, where that cannot be somebody's present work."""
    before = SystemClock().now().timestamp() - _ABANDONED
    for left in table.glob(f"{_BESIDE}*"):
        if left.stat().st_mtime < before:
            shutil.rmtree(left, ignore_errors=True)


def _needed(log: list[str]) -> list[str]:
    """Return the files of a log that its newest version is read from: the newest checkpoint, and what came since."""
    first = max((version_of(name) for name in log if ".checkpoint." in name), default=0)
    return [name for name in log if name == _POINTER or version_of(name) >= first]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)


def _write_anew(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        with replacing(path) as file:
            file.write(content)


def _data_files(table: Path, entry: Path) -> list[Path]:
    """Return the files that a commit added; none where a power cut has torn its entry (it is an orphan then)."""
    try:
        added = [json.loads(line).get("add") for line in entry.read_text(encoding="utf-8").splitlines()]
    except (FileNotFoundError, ValueError):
        return []
    return [table / unquote(add["path"]) for add in added if add]
