"""Which stretch of event time a model would be trained on now, and which is kept for its forward test."""

from __future__ import annotations

from treadle.core.errors import NotFound
from treadle.core.records import Window
from treadle.loop.frames import Frames
from treadle.loop.models import Model


def plan(model: Model, frames: Frames, *, version: int) -> tuple[Window, Window | None]:
    """Return the window that a model's policy takes of a version of its dataset, and the forward window after it.

    Raises:
        NotFound: no row has a known outcome yet.
    """
    end = frames.known(model, version).until
    if end is None:
        known = f" has a known {model.target!r} yet" if model.target else " is there yet"
        hint = " Outcomes make rows known: see `treadle datasets show`." if model.target else ""
        msg = f"No row of dataset {model.data.name!r} (version {version}){known}, so {model.name!r} cannot be trained.{hint}"
        raise NotFound(msg)
    last = end - model.forward_span
    ahead = Window(start=last, end=end) if model.forward_span else None
    return model.policy.window.at(last), ahead
