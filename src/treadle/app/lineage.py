"""Wires what tells a lineage server of runs, and keeps its troubles from anybody else's work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.core.clock import SystemClock
from treadle.core.errors import TreadleError

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace
    from treadle.core.progress import Progress
    from treadle.loop.lineage import Lineage

#: Seconds between looks at whether a run has begun or ended.
_EVERY = 2.0
#: Seconds that a thread which has just met a silent server may take to come back.
_LAST = 10.0
_log = logging.getLogger("treadle.lineage")


def lineage(workspace: Workspace) -> Lineage | None:
    """Return what tells of the workspace's runs; None: no server is named.

    Raises:
        SettingsError: one of the variables `OPENLINEAGE_*` is not valid.
    """
    if not workspace.lineage_server.place:
        return None
    import treadle
    from treadle.loop.lineage import Lineage

    return Lineage(
        workspace.lineage_server,
        namespace=workspace.settings.project.name,
        release=treadle.__version__,
        ledger=workspace.ledger,
        # Servers and kills keep to the machine's time, also where a project lives by another one.
        clock=SystemClock(),
        runs=workspace.runs,
        datasets=workspace.datasets,
        models=workspace.models,
        verdicts=workspace.verdicts,
        uri=lambda table: _uri(workspace.tables.shown, table, workspace.root),
    )


@contextmanager
def told(workspace: Workspace, progress: Progress) -> Iterator[None]:
    """Tell of runs as they begin and end, in a thread, as long as the block lasts; and once more after it."""
    try:
        found = lineage(workspace)
    except TreadleError as error:
        progress.step(f"lineage: {error}")
        found = None
    if found is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_tell, args=(found, progress, over), name="treadle-lineage", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_LAST)


def _tell(found: Lineage, progress: Progress, over: threading.Event) -> None:
    is_away = False
    while True:
        is_last = over.is_set()
        try:
            sent = found.send()
            is_away = False
            if sent.is_news:
                progress.step(f"{sent.error} Runs still to be told of: {sent.runs}.")
        except TreadleError as error:
            if not is_away:
                _log.warning("lineage waits: %s", error)
            is_away = True
        except Exception:  # noqa: BLE001 - it is logged: lineage never breaks what it tells of
            _log.exception("telling of runs failed; it is tried again")
        if is_last:
            return
        over.wait(_EVERY)


def _uri(place: str, table: str, root: Path) -> str:
    """Return a table's address as a URI."""
    if "://" in place:
        return f"{place.rstrip('/')}/{table}"
    return (root / place / table).resolve().as_uri()
