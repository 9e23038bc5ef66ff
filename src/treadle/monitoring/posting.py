"""Posts a message to an address, a few times where that may help: what channels over HTTP have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from treadle.core import hooks
from treadle.core.errors import DeliveryFailed


class Patience(NamedTuple):
    """How long a receiver is waited for."""

    #: Seconds for each try.
    timeout: float = 5.0
    tries: int = 3
    #: Seconds between the first two tries, doubled each time.
    pause: float = 0.5


def post(
    url: str,
    body: bytes,
    *,
    message: str,
    told: str,
    now: Callable[[], datetime],
    patience: Patience,
    secret: str = "",
    content_type: str = hooks.EVENTS,
) -> None:
    """Post a body; `message` is its id, and `told` says in errors who was told.

    Raises:
        DeliveryFailed: no try was taken. Errors that will stay (4xx, redirects) are not tried again.
    """
    problem = ""
    for number in range(patience.tries):
        if number:
            threading.Event().wait(patience.pause * 2 ** (number - 1))
        failure = hooks.post(
            url,
            body,
            delivery=message,
            secret=secret,
            at=now(),
            timeout=patience.timeout,
            content_type=content_type,
        )
        if failure is None:
            return
        problem = failure.said
        if not failure.may_pass:
            break
    msg = f"{told} did not take {message}: {problem}. It is tried again later."
    raise DeliveryFailed(msg)
