"""Tells a person through Apprise, which knows more than a hundred services: https://github.com/caronc/apprise/wiki."""

from __future__ import annotations

import logging
from typing import Any

from treadle.core.clock import Clock
from treadle.core.errors import DeliveryFailed, SettingsError
from treadle.core.optional import require
from treadle.monitoring.channel import Message


class Channel:
    """A service that Apprise knows, by its address there, as `tgram://token/chat` or `msteams://…`.

    >>> Channel("json://localhost:8080/hook").send(message)                    # doctest: +SKIP
    """

    def __init__(
        self, url: str, *, secret: str = "", source: str = "treadle", clock: Clock | None = None
    ) -> None:
        """Take the address, which holds the secret.

        Raises:
            MissingExtra: Apprise is not installed.
            SettingsError: Apprise does not know the address, or a key is given, which has its place there.
        """
        if secret:
            msg = "in an address of Apprise the secret has its own place: leave secret out, and take url = 'env:NAME'."
            raise SettingsError(msg)
        del clock
        self._library: Any = require("apprise", extra="apprise")
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines hold addresses
        self._scheme = url.partition("://")[0]
        self._source, self._told = source, self._library.Apprise()
        if not self._told.add(url):
            shown = self._scheme if self._scheme.isalnum() and "://" in url else "no scheme"
            msg = f"Apprise knows no service at this address ({shown}). See https://github.com/caronc/apprise/wiki"
            raise SettingsError(msg)

    @property
    def shown(self) -> str:
        """The kind of service."""
        return f"{self._scheme}:// through Apprise"

    def send(self, message: Message) -> None:
        """Tell a message.

        Raises:
            DeliveryFailed: the service did not take it; Apprise does not say why.
        """
        kinds = self._library.NotifyType
        kind = {"page": kinds.FAILURE, "ticket": kinds.WARNING, "info": kinds.INFO}[message.severity]
        if message.state == "resolved":
            kind = kinds.SUCCESS
        taken = self._told.notify(
            title=f"{self._source}: {message.title}", body="\n".join(message.lines), notify_type=kind
        )
        if not taken:
            msg = f"The service {self.shown} did not take {message.id}. It is tried again later."
            raise DeliveryFailed(msg)
