"""The process that serves: Granian in this process, with threads for what blocks."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec

from treadle.core import settings
from treadle.core.clock import SystemClock
from treadle.core.errors import AuthRequired, NotFound
from treadle.core.optional import require
from treadle.core.settings import ServingSettings, UiSettings
from treadle.serving import listening

#: Seconds that open connections have to end when the server does, and within which a request's head must come.
_END, _HEAD = 2.0, 10.0
#: Requests that are answered at once.
_MOST = 1024


def serve(project: Path | None, overrides: dict[str, Any], *, say: Callable[[str], None]) -> None:
    """Serve the dashboard and the API until SIGTERM or Ctrl-C; `say` is told where.

    Raises:
        MissingExtra: Starlette or Granian is not installed.
        AuthRequired: it was told to listen off loopback, and nobody would have to say who they are.
        InvalidInput: the port is taken.
    """
    require("starlette", extra="ui")
    require("granian", extra="ui")
    from treadle.app.http.application import application
    from treadle.app.http.source import Source
    from treadle.serving.access_log import AccessLog

    source = Source(project, overrides=overrides)
    root, found = _settings(project, overrides)
    check_address(found, source)
    there = msgspec.structs.replace(ServingSettings(), host=found.host, port=found.port)
    listener = listening.listen(there, setting="ui.port")
    log = AccessLog(found.access_log, root, SystemClock()) if found.access_log and root != Path() else None
    target = application(source, found, log=log)
    say(f"Dashboard at http://{_shown(found.host)}:{found.port}. Ctrl-C ends it.")
    try:
        asyncio.run(_serve(target, listener, found))
    finally:
        source.close()
        if log is not None:
            log.close()


def check_address(found: UiSettings, source: Callable[[], Any]) -> None:
    """Make sure that a server which others can reach asks who they are.

    Raises:
        AuthRequired: it would not.
    """
    if listening.is_loopback(found.host) or found.oidc_issuer or (found.proxy_user and found.proxies):
        return
    with suppress(NotFound):
        if source().team.is_asked():
            return
    msg = (
        f"The server would listen on {found.host!r}, where others can reach it, and nobody has to say who they are. Let people in "
        "first: treadle users add NAME --role admin, then treadle tokens create laptop --user NAME; or set ui.oidc_issuer."
    )
    raise AuthRequired(msg)


def _settings(project: Path | None, overrides: dict[str, Any]) -> tuple[Path, UiSettings]:
    """Return the project's folder and settings; where there is no project yet, those of none."""
    try:
        root = settings.find_root(project)
    except NotFound:
        return Path(), settings.load(project or Path(), overrides).ui
    return root, settings.load(root, overrides).ui


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _serve(target: Any, listener: socket.socket, found: UiSettings) -> None:
    server = _server(target, listener, found)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(ended.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    server.stop()
    # Pages that listen for changes stay connected for ever: they are not waited for.
    await asyncio.wait({serving}, timeout=_END)
    for task in (serving, waiting):
        task.cancel()
    listener.close()


def _server(target: Any, listener: socket.socket, found: UiSettings) -> Any:
    """Return Granian's server over a socket of ours, whose silent connections are closed."""
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.net import SocketHolder  # type: ignore[attr-defined]  # its types leave it out
    from granian.server.embed import Server

    class Listening(Server):
        def _init_shared_socket(self) -> None:
            self._ssp: Any = None
            # It closes what it is given.
            self._shd: Any = cast("Any", SocketHolder)(os.dup(listener.fileno()), False, listening.BACKLOG)

    return Listening(
        target,
        address=found.host,
        port=found.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backpressure=_MOST,
        # It warns that to be embedded is an experiment of its own.
        log_level=LogLevels.error,
        http1_settings=HTTP1Settings(header_read_timeout=int(_HEAD * 1000), max_buffer_size=64 * 1024),
    )
