"""Waits, in the event loop, until the thread of the log has written an entry."""

from __future__ import annotations

import asyncio
from functools import partial

from treadle.core.errors import StoreUnavailable
from treadle.serving.entries import Entry
from treadle.serving.log import PredictionLog


async def keep(log: PredictionLog, entry: Entry, loop: asyncio.AbstractEventLoop) -> bool:
    """Log an entry: on the disk before this returns if the log is `sync`; False: it was dropped.

    Raises:
        StoreUnavailable: the log is `sync` and cannot be written.
    """
    if log.durability != "sync":
        return log.put(entry)
    kept: asyncio.Future[None] = loop.create_future()
    log.commit(entry, partial(_settle, loop, kept))
    await kept
    return True


def _settle(
    loop: asyncio.AbstractEventLoop, kept: asyncio.Future[None], problem: StoreUnavailable | None
) -> None:
    """Wake a request whose entry has been written, or not; called from the log's thread."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(_finish, kept, problem)


def _finish(kept: asyncio.Future[None], problem: StoreUnavailable | None) -> None:
    if kept.done():
        return
    if problem is None:
        kept.set_result(None)
    else:
        kept.set_exception(problem)
