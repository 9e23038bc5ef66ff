"""The threads in which what takes long is done, so that it holds up nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

#: How many there are.
COUNT = 4


class Threads:
    """The threads of one worker, and the event loop that waits for them."""

    def __init__(self) -> None:
        """Prepare them; none is started before there is something to do."""
        self.pool = ThreadPoolExecutor(COUNT, thread_name_prefix="treadle-large")
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Be waited for by a loop."""
        self._loop = loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop in which requests are answered."""
        assert self._loop is not None
        return self._loop

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in a thread, and return what it returns."""
        return await self.loop.run_in_executor(self.pool, function, *arguments)
