"""Waits, in the event loop, until the thread of the log has written an entry.

Entries of requests that were answered in one turn of the loop are handed over together, so that one write holds all of
them; and those whose entries were written at once wake at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from functools import partial

from treadle.core.errors import StoreUnavailable
from treadle.serving.entries import Entry
from treadle.serving.log import PredictionLog


class Keeper:
    """Logs entries for the requests of one event loop."""

    def __init__(self, log: PredictionLog) -> None:
        """Log to `log`; `keep` has to be called in one event loop."""
        self._log = log
        self._given: list[tuple[Entry, asyncio.Future[None]]] = []
        self._settled: deque[tuple[asyncio.Future[None], StoreUnavailable | None]] = deque()
        self._is_called = False

    async def keep(self, entry: Entry) -> bool:
        """Log an entry: on the disk before this returns if the log is `sync`; False: it was dropped.

        Raises:
            StoreUnavailable: the log is `sync` and cannot be written.
        """
        if self._log.durability != "sync":
            return self._log.put(entry)
        loop = asyncio.get_running_loop()
        kept: asyncio.Future[None] = loop.create_future()
        self._given.append((entry, kept))
        if len(self._given) == 1:
            loop.call_soon(self._hand_over, loop)
        await kept
        return True

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        given, self._given = self._given, []
        for entry, kept in given:
            try:
                self._log.commit(entry, partial(self._settle, loop, kept))
            except Exception as error:  # noqa: BLE001 - it is the matter of this request, whatever it is
                if not kept.done():
                    kept.set_exception(error)

    def _settle(
        self,
        loop: asyncio.AbstractEventLoop,
        kept: asyncio.Future[None],
        problem: StoreUnavailable | None,
    ) -> None:
        """Note that an entry has been written, or not; called from the log's thread, which wakes the loop once for many."""
        self._settled.append((kept, problem))
        if not self._is_called:
            self._is_called = True
            with suppress(RuntimeError):  # the loop was closed, so nobody waits any more; the log goes on
                loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        self._is_called = False  # first: what is noted from now on calls again
        while self._settled:
            kept, problem = self._settled.popleft()
            if kept.done():
                continue
            if problem is None:
                kept.set_result(None)
            else:
                kept.set_exception(problem)
