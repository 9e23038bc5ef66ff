"""What a way to tell a person (a channel plug-in) must be able to do."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from treadle.core.alert import Alert
from treadle.core.clock import Clock
from treadle.core.records import Record
from treadle.core.telling import Severity

#: Alerts that a message shows in words; of more it says how many there are.
MOST_SHOWN = 20


class Message(Record, frozen=True, kw_only=True):
    """What is told at once: that one rule began to hold for some subjects, still does, or no longer does."""

    #: The same when it is sent again.
    id: str
    state: Literal["raised", "repeated", "resolved"]
    rule: str
    severity: Severity
    #: At least one, of one rule.
    alerts: tuple[Alert, ...]

    @property
    def title(self) -> str:
        """One line: how soon, what, about whom."""
        word = "resolved" if self.state == "resolved" else self.severity
        again = " (still)" if self.state == "repeated" else ""
        about = self.alerts[0].subject if len(self.alerts) == 1 else f"{len(self.alerts)} subjects"
        return _plain(f"[{word}] {self.rule}{again}: {about}")

    @property
    def lines(self) -> list[str]:
        """A line for each subject."""
        shown = [_plain(f"{alert.subject}: {alert.text}") for alert in self.alerts[:MOST_SHOWN]]
        left = len(self.alerts) - MOST_SHOWN
        return [*shown, f"… and {left} more: treadle alerts"] if left > 0 else shown


def _plain(text: str) -> str:
    """Return a text on one line, in which nothing commands whatever shows it."""
    return "".join(c if c.isprintable() else " " for c in text)


class Channel(Protocol):
    """A way to tell a person: class `Channel` of a plug-in module of kind `channel`."""

    def __init__(
        self, url: str, *, secret: str = "", source: str = "treadle", clock: Clock | None = None, **more: Any
    ) -> None:
        """Take the address, the key or password, the project's name and what tells the time.

        `more` are those settings of a channel that this one knows and that were given: `to`, `sender`.

        Raises:
            SettingsError: nobody can be told so; the message holds no secret.
            MissingExtra: it needs a library that is not installed.
        """
        ...

    @property
    def shown(self) -> str:
        """Where it speaks to, without what may be secret."""
        ...

    def send(self, message: Message) -> None:
        """Tell a message.

        The same message may be sent again when it is not known whether it arrived; the receiver can tell by its id.

        Raises:
            DeliveryFailed: nobody took it; the message says why, and holds no secret.
        """
        ...
