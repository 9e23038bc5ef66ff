"""Threads for what is asked for: apart from those that say who asks and make pages, and no user has them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter, to_thread

T = TypeVar("T")
#: Operations that are done at once, and of one user; others wait.
_MOST, _EACH = 24, 12


class Turns:
    """Who does something now, and who waits for it."""

    def __init__(self) -> None:
        self._threads = CapacityLimiter(_MOST)
        #: Of users who do or wait for something.
        self._each: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def take(self, user: str, do: Callable[[], T]) -> T:
        """Do something that may block, when it is its turn."""
        turn = self._each.get(user)
        if turn is None:
            turn = self._each[user] = asyncio.Semaphore(_EACH)
        async with turn:
            return await to_thread.run_sync(do, limiter=self._threads)
