"""Wires streams: an endpoint that answers messages of a broker."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.app.jobs import parts_of, quiet_libraries
from treadle.core.settings import referenced
from treadle.serving import stream, stream_metrics
from treadle.serving.pump import Pump
from treadle.serving.textfile import Textfile

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def carry(
    workspace: Workspace,
    endpoint: str,
    *,
    source: str,
    sink: str,
    batch: int,
    say: Callable[[str], None],
    metrics_file: Path | None = None,
) -> None:
    """Answer messages until SIGTERM or Ctrl-C; those in hand are answered first.

    Raises:
        NotFound: there is no such endpoint.
        InvalidInput: an address is none of a broker.
        StoreUnavailable: a broker does not answer at the start; later it is tried again.
    """
    source, sink = referenced(source), referenced(sink)
    quiet_libraries()
    # What is wrong with an address is said at once.
    for end in (stream.source(source), stream.sink(sink)):
        end.close()
    with parts_of(workspace) as parts:
        parts.plane.reader(endpoint)
        pump = Pump(
            endpoint,
            parts.plane,
            source=partial(stream.source, source),
            sink=partial(stream.sink, sink),
            log=parts.log,
            batch=batch,
        )
        for how in (signal.SIGTERM, signal.SIGINT):
            signal.signal(how, lambda *_: pump.stop())
        say(f"{stream.shown(source)} → {endpoint} → {stream.shown(sink)}. Ctrl-C ends it.")
        with ExitStack() as stack:
            if metrics_file is not None:
                lag = stack.enter_context(closing(stream_metrics.Lag(partial(stream.source, source))))
                observe = partial(stream_metrics.observed, endpoint, pump, lag)
                stack.enter_context(Textfile(metrics_file, observe))
            pump.run()
    say(f"{pump.answered} messages answered, {pump.parked} put aside")
