"""The process that ships a server's log: `python -m treadle.app.shipping FOLDER`, started beside the workers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from treadle.core import settings
from treadle.serving.courier import Courier, run

if TYPE_CHECKING:
    from treadle.serving.shipping_process import ShippingProcess
    from treadle.store.tables.tables import Tables


def process(root: Path, overrides: Mapping[str, Any]) -> ShippingProcess:
    """Return the process for the project at `root`, with these settings on top; it is started by a `with` block."""
    from treadle.serving.shipping_process import ShippingProcess

    # One thread is enough for what servers log, and answers need the others.
    variables = {"POLARS_MAX_THREADS": "1", **settings.as_environment(overrides)}
    command = [sys.executable, "-m", "treadle.app.shipping", str(root)]
    return ShippingProcess(command, environment=settings.child_environment(variables))


def _tables(root: Path) -> Tables:
    from treadle.store.tables.tables import Tables

    url = settings.load(root, {}).tables.url
    return Tables.open(url, root=root, options=settings.aws_options())


if __name__ == "__main__":
    _root = Path(sys.argv[1])
    run(Courier(_root, lambda: _tables(_root)))
