"""The workspace that a server shows: opened when it is first needed, and anew when its declarations changed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from treadle.app.workspace import Workspace, open_workspace
from treadle.core import settings
from treadle.core.progress import Progress


class Source:
    """One project's workspace; calls come from many threads."""

    def __init__(self, project: Path | str | None = None, *, overrides: dict[str, Any] | None = None) -> None:
        """Name a project's folder, or one below it."""
        self._project, self._overrides = project, overrides or {}
        self._lock = threading.Lock()
        self._open: Workspace | None = None
        self._stamp: tuple[int, ...] = ()

    def __call__(self) -> Workspace:
        """Return the workspace as its files say now.

        Raises:
            NotFound: there is no project here yet.
            SettingsError: its settings cannot be read.
        """
        with self._lock:
            root = settings.find_root(Path(self._project) if self._project is not None else None)
            stamp = _stamp(root)
            if self._open is None or stamp != self._stamp:
                # The one before is not closed: requests that have begun go on with it, and it goes when they are done.
                self._open, self._stamp = self.apart(), stamp
            return self._open

    def apart(self, progress: Progress | None = None) -> Workspace:
        """Return a workspace of one's own, for work that tells how it goes on; whoever asks closes it."""
        return open_workspace(self._project, progress=progress, overrides=dict(self._overrides))

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None


def _stamp(root: Path) -> tuple[int, ...]:
    """Return what changes with the files that say what a project is."""
    found = []
    for path in (root / settings.FILE_NAME, *sorted(root.glob("*.py"))):
        try:
            found.append(path.stat().st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)
