"""What a run has written, and where: its record, its metrics by step, its log; in its folder first, as objects when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from sqlalchemy import Connection, select

from treadle.core.errors import NotFound
from treadle.core.records import Run, from_json
from treadle.store.ledger import tables as t
from treadle.store.ledger.ledger import Ledger
from treadle.store.objects.objects import Objects
from treadle.training import history

#: Folder of the runs under way on this machine, relative to the project.
FOLDER = Path(".treadle", "runs")
LOG, METRICS = "log.txt", "metrics.jsonl"


class Written:
    """The part of `Runs` that reads one run."""

    def __init__(self, *, ledger: Ledger, objects: Objects, root: Path) -> None:
        self._ledger, self._objects = ledger, objects
        self._folders = root / FOLDER

    def get(self, run: str) -> Run:
        """Return one run.

        Raises:
            NotFound: there is none with that id.
        """
        with self._ledger.read() as connection:
            return read(connection, run)

    def metrics(self, run: str) -> pl.DataFrame:
        """Return each metric by step, as logged by the training function: name, step, value, at."""
        return history.frame_of(self._points(self.get(run)))

    def log(self, run: str) -> str:
        """Return what a run has written to stdout and stderr: so far, or in all."""
        return self._content(self.get(run), LOG).decode("utf-8", "replace")

    def written(self, run: str) -> tuple[int, int]:
        """Return how many bytes of log and of metrics a run under way has written on this machine; they grow as it goes on."""
        files = [self._folders / run / name for name in (LOG, METRICS)]
        log, metrics = (path.stat().st_size if path.is_file() else 0 for path in files)
        return log, metrics

    def folder(self, run: str) -> Path:
        """Return the folder of a run under way, and make it where it is not there."""
        path = self._folders / run
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _points(self, run: Run) -> Sequence[history.Point]:
        return history.parse(self._content(run, METRICS))

    def _content(self, run: Run, file: str) -> bytes:
        """Return a file of a run: from its folder, else the object that was made of it."""
        path = self._folders / run.id / file
        try:
            return path.read_bytes()
        except FileNotFoundError:
            sealed = self.get(run.id)
            digest = sealed.log if file == LOG else sealed.history
            return self._objects.get(digest) if digest else b""


def read(connection: Connection, run: str) -> Run:
    """Return one run, within a transaction.

    Raises:
        NotFound: there is none with that id.
    """
    body = connection.execute(select(t.runs.c.body).where(t.runs.c.id == run)).scalar()
    if body is None:
        msg = f"No run {run!r}. List them with: treadle runs"
        raise NotFound(msg)
    return from_json(body, Run)
