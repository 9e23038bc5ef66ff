"""The process that serves: Granian in this process, with threads for what blocks."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treadle.core.optional import require


def serve(
    project: Path | None, *, host: str, port: int, overrides: dict[str, Any], say: Callable[[str], None]
) -> None:
    """Serve the dashboard and the API until SIGTERM or Ctrl-C; `say` is told where.

    Raises:
        MissingExtra: Starlette or Granian is not installed.
    """
    require("starlette", extra="ui")
    require("granian", extra="ui")
    from treadle.app.http.application import application
    from treadle.app.http.source import Source

    source = Source(project, overrides=overrides)
    say(f"Dashboard at http://{host}:{port}. Ctrl-C ends it.")
    try:
        asyncio.run(_serve(application(source), host=host, port=port))
    finally:
        source.close()


async def _serve(target: Any, *, host: str, port: int) -> None:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server.embed import Server

    server = Server(
        target,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        log_level=LogLevels.warning,
        http1_settings=HTTP1Settings(header_read_timeout=10_000),
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    await server.serve()
