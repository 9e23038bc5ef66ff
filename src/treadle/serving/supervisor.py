"""The command that runs the prediction server: it listens, and keeps the workers."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, cast

from treadle.core.optional import require
from treadle.core.settings import ServingSettings
from treadle.serving.listening import check_address, check_free, listen
from treadle.serving.server import Application

_FILES = 65_536
#: Seconds that a worker which ends has for its log and its models, beside those for its requests.
_TIDY = 10.0


def serve(
    settings: ServingSettings,
    *,
    factory: Callable[[], Application],
    shipping: AbstractContextManager[object] | None = None,
    guarded: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; requests that have begun are answered first. SIGHUP replaces the workers.

    `shipping` ships what the workers log, from before they begin until after they end. `guarded`: there is a file of tokens. `factory` is called in each worker process; it must be a function of a module, or a `functools.partial` of one.

    Raises:
        AuthRequired: as for `check_address`.
        InvalidInput: the address is taken or not of this machine.
        MissingExtra: Granian is not installed.
    """
    check_address(settings, guarded=guarded)
    granian = require("granian", extra="serve")
    require("httptools", extra="serve")
    check_free(settings)
    from treadle.serving.workers import Workers

    _allow_files()
    server = Workers(
        settings,
        listen(settings),
        address=settings.host,
        port=settings.port,
        interface=granian.constants.Interfaces.RSGI,
        workers=settings.workers,
        http=granian.constants.HTTPModes.http1,
        websockets=False,
        log_level=granian.log.LogLevels.warning,
        workers_kill_timeout=int(settings.drain_wait + settings.grace + _TIDY),
    )
    with shipping or nullcontext():
        server.serve(target_loader=cast("Callable[..., Callable[..., Any]]", factory), wrap_loader=False)


def _allow_files() -> None:
    """Allow as many open files, and so connections, as the machine lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
