"""What a way to tell a person (a channel plug-in) must be able to do."""

from __future__ import annotations

from typing import Protocol

from treadle.core.clock import Clock
from treadle.core.records import Alert


class Channel(Protocol):
    """A way to tell a person: class `Channel` of a plug-in module of kind `channel`."""

    def __init__(
        self, url: str, *, secret: str = "", source: str = "treadle", clock: Clock | None = None
    ) -> None:
        """Take the address, the key that signs messages, the sender's name and what tells the time."""
        ...

    def send(self, alert: Alert) -> None:
        """Tell that an alert was raised or, where it has a moment of resolution, that it no longer holds.

        The same alert may be sent again when it is not known whether it arrived; the receiver can tell by its id.

        Raises:
            DeliveryFailed: nobody took it; the message says why, and holds no secret.
        """
        ...
