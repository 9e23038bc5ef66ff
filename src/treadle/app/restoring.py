"""Restoring: the state of a project out of a backup, into stores of any kind that hold nothing yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from treadle.app.backups import AT_ONCE, LEDGER, LOG, OBJECTS, TABLES, Raw
from treadle.core import settings
from treadle.core.errors import Conflict, InvalidInput
from treadle.core.progress import Progress
from treadle.serving import spool
from treadle.store.backups import Backup, Backups, Held
from treadle.store.files import replacing
from treadle.store.ledger.dumping import first_filled, load

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

#: Names the backup that is being restored here: what lies about is its beginning.
_BEGUN = Path(".treadle/restoring")
_DUMP = "ledger.db"


def restore(workspace: Workspace, source: str, *, backup: str, progress: Progress) -> Backup:
    """Put the state of a backup (by default the newest) into the stores of a project, which are empty; return the backup.

    Every file is checked against its digest. The ledger comes last and in one transaction, so a restore that was killed has
    changed nothing that counts and can be repeated.

    Raises:
        NotFound: there is no such backup.
        Conflict: the stores are not empty.
        DigestMismatch: the backup is damaged.
        SchemaTooNew: a newer Treadle made it.
    """
    there = Backups.open(source, root=workspace.root, options=settings.aws_options())
    found = there.get(backup)
    files = _checked(there.files(found), place=there.shown)
    with TemporaryDirectory(prefix="treadle-restore-") as beside:
        folder = Path(beside)
        begun = _begin(workspace, found)
        for part in (OBJECTS, TABLES, LOG):
            progress.step(f"restore: {part}")
            of_part = [held for held in files if held.path.startswith(f"{part}/")]
            for count, _ in enumerate(_put(workspace, there, part, of_part, beside=folder), start=1):
                progress.advance(count, len(of_part))
        ledger = next(held for held in files if held.path == LEDGER)
        load(there.fetch(ledger, folder / _DUMP), workspace.ledger)
        begun.unlink()
    return found


def _begin(workspace: Workspace, backup: Backup) -> Path:
    """Make sure that there is nothing here, or the beginning of the same restore; return the file that says so."""
    begun = workspace.root / _BEGUN
    with workspace.ledger.read() as connection:
        filled = first_filled(connection)
    is_ours = begun.exists() and begun.read_text() == backup.id
    tables = [] if is_ours else workspace.tables.names()
    if filled or tables:
        what = f"the ledger has rows in {filled!r}" if filled else f"there is a table {tables[0]!r}"
        msg = (
            f"This project is not empty: {what}. Nothing was changed. Restore into a new folder with a treadle.toml "
            "whose stores are empty."
        )
        raise Conflict(msg)
    with replacing(begun) as file:
        file.write(backup.id.encode())
    return begun


def _put(
    workspace: Workspace, there: Backups, part: str, files: Iterable[Held], *, beside: Path
) -> Iterator[None]:
    url = {OBJECTS: workspace.settings.objects.url, TABLES: workspace.settings.tables.url}
    raw = Raw.open(url.get(part, str(spool.LOGS)), root=workspace.root)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # The log of a table comes after what it names.
        for is_log in (False, True):
            some = [held for held in files if ("/_delta_log/" in held.path) == is_log]
            yield from pool.map(partial(_put_one, there, raw, part, beside=beside), some)


def _put_one(there: Backups, raw: Raw, part: str, held: Held, *, beside: Path) -> None:
    key = held.path.removeprefix(f"{part}/")
    if raw.place.kind == "folder":
        there.fetch(held, raw.place.path / key)
        return
    path = there.fetch(held, beside / key.replace("/", "%"))
    raw.backend.put_file(key, path)
    path.unlink()


def _checked(files: list[Held], *, place: str) -> list[Held]:
    """Return files none of which belongs outside the stores: a backup may come from anywhere.

    Raises:
        InvalidInput: one does.
    """
    for held in files:
        parts = held.path.split("/")
        if held.path != LEDGER and (
            parts[0] not in {OBJECTS, TABLES, LOG}
            or len(parts) < 2
            or any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts)
        ):
            msg = f"The backup in {place} has a file for {held.path!r}, which is outside the stores. Nothing was restored."
            raise InvalidInput(msg)
    return files
