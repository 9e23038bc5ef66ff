"""Writes into a chat through an incoming web hook as Slack has them; Mattermost, Rocket.Chat and others take the same."""

from __future__ import annotations

from treadle.core import hooks
from treadle.core.clock import Clock, SystemClock
from treadle.core.errors import InvalidInput, SettingsError
from treadle.core.ids import canonical
from treadle.monitoring.channel import Message
from treadle.monitoring.posting import Patience, post

#: Characters of a message; Slack cuts longer ones.
_LONGEST = 35_000


class Channel:
    """An incoming web hook.

    >>> Channel("https://hooks.slack.com/services/T0/B0/…").send(message)      # doctest: +SKIP
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str = "",
        source: str = "treadle",
        clock: Clock | None = None,
        timeout: float = 5.0,
        tries: int = 3,
        pause: float = 0.5,
    ) -> None:
        """Take the address of the hook, which is the secret; `timeout` is for each of the `tries`, in seconds.

        Raises:
            SettingsError: the address is none that can be posted to, or a key is given, which nobody would look at.
        """
        if secret:
            msg = "a chat's web hook checks no signature: leave secret out, and keep its address secret (url = 'env:NAME')."
            raise SettingsError(msg)
        try:
            self._shown = hooks.checked(url, what="the address of the chat's web hook")
        except InvalidInput as error:
            raise SettingsError(str(error)) from error
        self._url, self._source, self._clock = url, source, clock or SystemClock()
        self._patience = Patience(timeout=timeout, tries=tries, pause=pause)

    @property
    def shown(self) -> str:
        """The address without its path, which is the secret."""
        return self._shown

    def send(self, message: Message) -> None:
        """Write a message into the chat.

        Raises:
            DeliveryFailed: it was not taken.
        """
        lines = [f"*{_escaped(self._source)}* {_escaped(message.title)}"]
        lines += [f"• {_escaped(line)}" for line in message.lines]
        post(
            self._url,
            canonical({"text": "\n".join(lines)[:_LONGEST]}),
            message=message.id,
            told=f"The chat {self._shown}",
            now=self._clock.now,
            patience=self._patience,
            content_type="application/json; charset=utf-8",
        )


def _escaped(text: str) -> str:
    """Return a text that mentions nobody and links nowhere: `<!channel>` in a subject stays what it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
