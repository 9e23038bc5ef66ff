"""Posts each message as signed JSON to one address: a CloudEvents 1.0 envelope, HMAC-SHA256, at least once.

The signature covers `<t>.<body>`, where `t` is the Unix time in the header:

    Treadle-Signature: t=1385856000,v1=5257a869…
    Treadle-Delivery: alert_01k….raised
"""

from __future__ import annotations

from typing import Any

from treadle.core import hooks
from treadle.core.clock import Clock, SystemClock
from treadle.core.errors import InvalidInput, SettingsError
from treadle.core.hooks import DELIVERY, SIGNATURE, sign, verify
from treadle.core.ids import canonical
from treadle.monitoring.channel import Message
from treadle.monitoring.posting import Patience, post

__all__ = ["DELIVERY", "SIGNATURE", "Channel", "envelope", "sign", "verify"]


class Channel:
    """A web hook.

    >>> Channel("https://example.org/hook", secret="s").send(message)      # doctest: +SKIP
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
        """Take the address (http or https) and the key; without a key messages are not signed.

        `timeout` is for each of the `tries`, in seconds; `pause` is the first wait between two, doubled each time.

        Raises:
            SettingsError: the address is none that can be posted to.
        """
        self._url, self._secret, self._source = url, secret, source
        self._clock = clock or SystemClock()
        self._patience = Patience(timeout=timeout, tries=tries, pause=pause)
        self._shown = _checked(url)

    @property
    def shown(self) -> str:
        """The address without path and query, which may be secrets."""
        return self._shown

    def send(self, message: Message) -> None:
        """Post a message; any 2xx answer takes it.

        Raises:
            DeliveryFailed: no try was taken. Errors that will stay (4xx, redirects) are not tried again.
        """
        post(
            self._url,
            canonical(envelope(message, source=self._source)),
            message=message.id,
            told=f"The web hook {self._shown}",
            secret=self._secret,
            now=self._clock.now,
            patience=self._patience,
        )


def envelope(message: Message, *, source: str) -> dict[str, Any]:
    """Return a message as a CloudEvents 1.0 event in structured JSON."""
    first = message.alerts[0]
    return hooks.event(
        f"treadle.alert.{message.state}",
        delivery=message.id,
        source=source,
        subject=first.subject if len(message.alerts) == 1 else f"{message.rule} of {len(message.alerts)}",
        at=first.resolved_at or first.at,
        data={
            "rule": message.rule,
            "severity": message.severity,
            "text": message.title,
            "alerts": [
                {
                    "alert": alert.id,
                    "subject": alert.subject,
                    "text": alert.text,
                    "at": alert.at.isoformat(),
                    "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
                }
                for alert in message.alerts
            ],
        },
    )


def _checked(url: str) -> str:
    try:
        return hooks.checked(url, what="the web hook's address (alerts.webhook)")
    except InvalidInput as error:
        raise SettingsError(str(error)) from error
