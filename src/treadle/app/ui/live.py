"""Tells browsers when something in the workspace has changed, so that they fetch the page again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from treadle.core.errors import TreadleError

if TYPE_CHECKING:
    from treadle.app.ui.kept import Keeping
    from treadle.app.workspace import Workspace

#: Seconds between two looks, and after which something is sent anyway, so that a dead connection is noticed.
LOOK, BEAT = 1.0, 15.0


def pulse(workspace: Workspace, keeping: Keeping) -> str:
    """Return a text that is another one when something was written to the ledger or read anew; empty: it does not answer now."""
    try:
        return f"{keeping.of(workspace).turns} {workspace.ledger.pulse()}"
    except TreadleError:
        return ""


def pulse_of_run(workspace: Workspace, run: str) -> str:
    """Return a text that is another one when a run has printed, logged a metric, come to another attempt or ended."""
    try:
        found = workspace.runs.get(run)
    except TreadleError:
        return ""
    return f"{found.status} {found.attempts} {workspace.runs.written(run)} {workspace.runs.progress(found)}"


async def events(
    look: Callable[[], Awaitable[str]], *, every: float = LOOK, beat: float = BEAT
) -> AsyncIterator[str]:
    """Yield server-sent events for ever: `changed` when a look finds another text than before, and a comment now and then.

    Whoever sends them ends it when the browser has gone, which the comment finds out.
    """
    before, quiet = await look(), 0.0
    yield "retry: 2000\n\n"
    while True:
        await asyncio.sleep(every)
        now = await look()
        quiet += every
        if now and now != before:
            before, quiet = now, 0.0
            yield "event: changed\ndata: ledger\n\n"
        elif quiet >= beat:
            quiet = 0.0
            yield ": still here\n\n"
