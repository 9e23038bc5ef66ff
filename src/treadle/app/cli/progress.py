"""Progress on stderr: a bar that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from click.termui import progressbar

from treadle.app.cli import output


class Lines:
    """Shows steps as lines; on a terminal also a bar for work that counts."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._done = 0

    def step(self, text: str) -> None:
        """Begin a new line."""
        self._close()
        output.note(text)

    def advance(self, done: int, total: int) -> None:
        """Move the bar, on a terminal; say nothing elsewhere."""
        if not output.on_terminal() or total < 2:
            return
        if self._bar is None:
            self._bar = progressbar(length=total, file=sys.stderr, show_pos=True)
            self._done = 0
        self._bar.update(done - self._done)
        self._done = done
        if done >= total:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None
