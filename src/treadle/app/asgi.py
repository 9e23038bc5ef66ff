"""`td.asgi`: the prediction server of a project as an application for other servers to mount."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from treadle.app.serve import application_of
from treadle.app.stores import open_stores
from treadle.serving.asgi import Asgi


def asgi(project: Path | str | None = None, **overrides: Any) -> Asgi:
    """Return the prediction server of a project as an ASGI application; nothing is opened before it serves.

    Tokens and limits are those of the settings `serving.*`; where it listens, and for whom, is the host's to say.

    >>> predictions = asgi("flights")                                       # doctest: +SKIP
    >>> app = FastAPI(lifespan=predictions.lifespan)                        # doctest: +SKIP
    >>> app.mount("/predictions", predictions)                              # doctest: +SKIP
    """
    return Asgi(lambda: application_of(open_stores(project, overrides=overrides), ships=True))
