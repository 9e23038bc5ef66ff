"""The channels that people are told by: what they have not taken yet, and a message to try one."""

from __future__ import annotations

from treadle.core.alert import Alert
from treadle.core.clock import Clock
from treadle.core.errors import not_found
from treadle.core.ids import new_id
from treadle.monitoring.channel import Message
from treadle.monitoring.outbox import Outbox, Waiting
from treadle.monitoring.routes import Routes
from treadle.store.ledger.ledger import Ledger


class Channelled:
    """The part of `Alerts` that knows the channels. `world` is the clock of those who are told."""

    def __init__(self, *, ledger: Ledger, routes: Routes, world: Clock) -> None:
        self._routes, self._world = routes, world
        self._outbox = Outbox(ledger, routes, world)

    def waiting(self) -> list[Waiting]:
        """Return what channels have not taken yet, the oldest first, with what the last try came to."""
        return self._outbox.waiting()

    def test(self, channel: str) -> Message:
        """Send a message to one channel now, which nobody needs to act upon.

        Raises:
            NotFound: there is no such channel.
            DeliveryFailed: it was not taken; the message says why.
            SettingsError: the channel cannot be made.
        """
        if channel not in self._routes.channels:
            raise not_found("channel", channel, self._routes.channels)
        now = self._world.now()
        text = "This is a test: nothing is wrong, and nobody has to do anything."
        alert = Alert(
            id=new_id("test"), rule="test", subject=f"channel:{channel}", text=text, at=now, severity="info"
        )
        message = Message(
            id=f"{alert.id}.raised", state="raised", rule="test", severity="info", alerts=(alert,)
        )
        self._routes.channels[channel]().send(message)
        return message
