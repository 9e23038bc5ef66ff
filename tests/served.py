"""A real team server in a thread of its own, for tests that speak with it over a socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from services import free_ports
from treadle.app.http import server
from treadle.core.settings import ServingSettings, UiSettings
from treadle.serving import listening


@contextmanager
def served(target: Any, **settings: Any) -> Iterator[str]:
    """Serve an application by Granian, as `treadle ui` does; return its address."""
    (port,) = free_ports(1)
    found = UiSettings(port=port, **settings)
    listener = listening.listen(ServingSettings(port=port))
    loops: list[Any] = []
    ready = threading.Event()

    async def run() -> None:
        running = server._server(target, listener, found)
        ended = asyncio.Event()
        loops.append((asyncio.get_running_loop(), ended))
        serving = asyncio.create_task(running.serve())
        ready.set()
        await ended.wait()
        running.stop()
        await asyncio.wait({serving}, timeout=2)
        listener.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    ready.wait(30)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop, ended = loops[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
