"""Runs a plan: its parts on several processes or on Ray, and at the end the manifest that says that all are there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import polars as pl

from treadle.core.errors import Busy, InvalidInput
from treadle.core.ids import digest_of
from treadle.core.progress import Progress
from treadle.core.records import Record
from treadle.core.servable import Servable
from treadle.serving.batch import logged, spread
from treadle.serving.batch.logged import Logging
from treadle.serving.batch.parts import DONE, LOG, REJECTED, STATE, Done
from treadle.serving.batch.plan import Part, Plan
from treadle.store.failures import of_os_error
from treadle.store.files import flush_file, flush_folder, part_name, replacing
from treadle.store.tables.tables import Tables

MANIFEST = "manifest.json"
_PLAN = "plan.json"
#: Where a place that serves several batches keeps what is told of those before.
_PAST = "past"
T = TypeVar("T", bound=Record)


class Manifest(Record, frozen=True, kw_only=True):
    """What a batch came to; there once all of it is."""

    plan: Plan
    rows: int
    #: Rows that did not fit; they are in the folder `rejected`.
    rejected: int
    parts: tuple[Done, ...]
    #: Digest over the parts' digests: the same rows and the same version give the same one, however often it was killed.
    digest: str
    #: Where the rows are: a folder, a file, or a table.
    output: str


class Place:
    """The folder that a batch works in: the output itself, or one beside the output's file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / STATE
        #: Where rows that are no Parquet file yet are made into one.
        self.spool = self.state / "spool.parquet"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out.

        Raises:
            Busy: another one works here.
            StoreUnavailable: the folder cannot be made.
        """
        try:
            (self.state / DONE).mkdir(parents=True, exist_ok=True)
            handle = os.open(self.state / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise of_os_error(error, store="batch", place=str(self.folder)) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            msg = f"Another process writes a batch into {self.folder}. Wait for it, or name another place."
            raise Busy(msg) from error
        finally:
            os.close(handle)

    def finished(self) -> Manifest | None:
        """Return the manifest of a batch that is complete."""
        return _read(self.folder / MANIFEST, Manifest)

    def begun(self) -> Plan | None:
        """Return the plan of a batch that was begun here."""
        return _read(self.state / _PLAN, Plan)

    def make_room(self, plan: Plan) -> Manifest | None:
        """Put a complete batch before this one aside, where one place serves several; return this one, if it was done before.

        One that was begun and is not complete stays where it is, and is refused by `begin`.
        """
        done = self.finished()
        if done is not None and done.plan.id != plan.id:
            aside = self.folder / _PAST / done.plan.id
            aside.mkdir(parents=True, exist_ok=True)
            if (self.folder / REJECTED).exists():
                (self.folder / REJECTED).replace(aside / REJECTED)
            # The manifest last: killed before, this is done again.
            (self.folder / MANIFEST).replace(aside / MANIFEST)
        return _read(self.folder / _PAST / plan.id / MANIFEST, Manifest)

    def begin(self, plan: Plan) -> None:
        """Note the plan, or find it noted.

        Raises:
            InvalidInput: another batch was begun or made here.
        """
        done = self.finished()
        before = done.plan if done else self.begun()
        if before is not None and before.id != plan.id:
            msg = (
                f"{self.folder} holds another batch ({before.model}/{before.version}, {before.rows} rows of "
                f"{digest_of(before.source)[7:15]}): its version, options or inputs were others. Name another place, or remove it."
            )
            raise InvalidInput(msg, field="output")
        if before is None:
            strays = [path.name for path in self.folder.iterdir() if path.name not in {STATE, _PAST}]
            if strays:
                msg = f"{self.folder} is not empty ({strays[0]}). Name a new folder."
                raise InvalidInput(msg, field="output")
            with replacing(self.state / _PLAN) as file:
                file.write(msgspec.json.encode(plan))

    def tidy(self) -> None:
        """Remove what was only needed on the way."""
        shutil.rmtree(self.state, ignore_errors=True)


def run(
    plan: Plan,
    place: Place,
    *,
    load: Callable[[], Servable],
    processes: int,
    engine: str,
    address: str,
    progress: Progress,
    logging: Logging | None = None,
) -> tuple[Done, ...]:
    """Score the parts of a plan that are not there yet, and return what became of all.

    Raises:
        InvalidInput: a row does not fit and the batch is to stop, or an input has changed.
        ModelFailed: the model cannot answer.
        StoreUnavailable: the parts cannot be written.
    """
    found = _done(place)
    missing = [part for part in plan.parts if part.number not in found]
    counted = sum(done.rows + done.rejected for done in found.values())
    work = spread.Work(load=load, plan=plan, folder=place.folder.absolute(), logging=logging)
    for done in _scored(missing, work, processes, engine, address):
        found[done.number] = done
        counted += done.rows + done.rejected
        progress.advance(counted, plan.rows)
    return tuple(found[part.number] for part in plan.parts)


def finish(plan: Plan, place: Place, parts: Sequence[Done], *, output: str) -> Manifest:
    """Write the manifest, once everything else is where it belongs."""
    manifest = Manifest(
        plan=plan,
        rows=sum(done.rows for done in parts),
        rejected=sum(done.rejected for done in parts),
        parts=tuple(parts),
        digest=digest_of([[done.digest, done.rejected_digest] for done in parts]),
        output=output,
    )
    try:
        with replacing(place.folder / MANIFEST) as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest)))
    except OSError as error:
        raise of_os_error(error, store="batch", place=str(place.folder)) from error
    return manifest


def into_file(plan: Plan, place: Place, target: Path) -> None:
    """Join the parts to one Parquet file, a piece at a time."""
    fresh = target.with_name(part_name())
    try:
        rows = pl.scan_parquet([place.folder / part.name for part in plan.parts], glob=False)
        rows.sink_parquet(fresh)
        flush_file(fresh)
        fresh.replace(target)
        flush_folder(target.absolute().parent)
    except OSError as error:
        raise of_os_error(error, store="batch", place=str(target)) from error
    finally:
        fresh.unlink(missing_ok=True)


def into_table(plan: Plan, place: Place, tables: Tables, name: str) -> None:
    """Append the parts to a table, each exactly once, also where this was killed on the way.

    Raises:
        InvalidInput: the table has other columns.
    """
    there = tables.delivered(name, sender=plan.id)
    for part in plan.parts[there:]:
        tables.deliver(
            name, pl.read_parquet(place.folder / part.name), sender=plan.id, number=part.number + 1
        )


def into_log(plan: Plan, place: Place, tables: Tables, table: str) -> None:
    """Deliver what the parts left for the prediction log, each exactly once, also where this was killed on the way."""
    there = tables.delivered(table, sender=plan.id)
    for part in plan.parts[there:]:
        left = place.state / LOG / part.name
        if left.exists():
            frame = pl.read_parquet(left)
            logged.deliver(tables, table, frame, sender=plan.id, number=part.number + 1)


def rejected_of(place: Place) -> pl.LazyFrame | None:
    """Return the rows that did not fit, each with its reason; None: all did."""
    files = sorted((place.folder / REJECTED).glob("part-*.parquet"))
    return pl.scan_parquet(files, glob=False) if files else None


def _scored(
    missing: Sequence[Part], work: spread.Work, processes: int, engine: str, address: str
) -> Iterable[Done]:
    if engine == "ray":
        return spread.on_ray(work, missing, address=address)
    if min(processes, len(missing)) < 2:
        return spread.here(work, missing)
    return spread.on_processes(work, missing, count=min(processes, len(missing)))


def _done(place: Place) -> dict[int, Done]:
    """Return the parts that are there; a note whose file is not counts for nothing."""
    found = {}
    for note in (place.state / DONE).glob("*.json"):
        done = _read(note, Done)
        if done is not None and (place.folder / f"part-{done.number:05d}.parquet").exists():
            found[done.number] = done
        else:
            note.unlink()
    return found


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        msg = f"{path} is not what a batch writes: {error}. Name another place."
        raise InvalidInput(msg) from error
