"""Posts each alert as signed JSON to one address: a CloudEvents 1.0 envelope, HMAC-SHA256, at least once.

The signature covers `<t>.<body>`, where `t` is the Unix time in the header:

    Treadle-Signature: t=1385856000,v1=5257a869…
    Treadle-Delivery: alert_01k….raised
"""

from __future__ import annotations

import threading
from typing import Any

from treadle.core import hooks
from treadle.core.clock import Clock, SystemClock
from treadle.core.errors import DeliveryFailed, InvalidInput, SettingsError
from treadle.core.hooks import DELIVERY, SIGNATURE, sign, verify
from treadle.core.ids import canonical
from treadle.core.records import Alert

__all__ = ["DELIVERY", "SIGNATURE", "Channel", "envelope", "sign", "verify"]


class Channel:
    """A web hook.

    >>> Channel("https://example.org/hook", secret="s").send(alert)        # doctest: +SKIP
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
        self._timeout, self._tries, self._pause = timeout, tries, pause
        self._shown = _checked(url)

    def send(self, alert: Alert) -> None:
        """Post an alert; any 2xx answer takes it.

        Raises:
            DeliveryFailed: no try was taken. Errors that will stay (4xx, redirects) are not tried again.
        """
        delivery = f"{alert.id}.{_state(alert)}"
        body = canonical(envelope(alert, source=self._source, delivery=delivery))
        problem = ""
        for number in range(self._tries):
            if number:
                threading.Event().wait(self._pause * 2 ** (number - 1))
            failure = hooks.post(
                self._url,
                body,
                delivery=delivery,
                secret=self._secret,
                at=self._clock.now(),
                timeout=self._timeout,
            )
            if failure is None:
                return
            problem = failure.said
            if not failure.may_pass:
                break
        msg = f"The web hook {self._shown} did not take alert {alert.id}: {problem}. It is tried again at the next look."
        raise DeliveryFailed(msg)


def envelope(alert: Alert, *, source: str, delivery: str) -> dict[str, Any]:
    """Return an alert as a CloudEvents 1.0 event in structured JSON."""
    return hooks.event(
        f"treadle.alert.{_state(alert)}",
        delivery=delivery,
        source=source,
        subject=alert.subject,
        at=alert.resolved_at or alert.at,
        data={
            "alert": alert.id,
            "rule": alert.rule,
            "subject": alert.subject,
            "text": alert.text,
            "at": alert.at.isoformat(),
            "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        },
    )


def _state(alert: Alert) -> str:
    return "raised" if alert.resolved_at is None else "resolved"


def _checked(url: str) -> str:
    try:
        return hooks.checked(url, what="alerts.webhook")
    except InvalidInput as error:
        raise SettingsError(str(error)) from error
