"""Posts each alert as signed JSON to one address: a CloudEvents 1.0 envelope, HMAC-SHA256, at least once.

The signature covers `<t>.<body>`, where `t` is the Unix time in the header:

    Treadle-Signature: t=1385856000,v1=5257a869…
    Treadle-Delivery: alert_01k….raised
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import threading
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from typing import Any

from treadle.core.clock import Clock, SystemClock
from treadle.core.errors import DeliveryFailed, SettingsError
from treadle.core.ids import canonical
from treadle.core.records import Alert

SIGNATURE, DELIVERY = "Treadle-Signature", "Treadle-Delivery"
#: Answers that may be another one a little later.
_PASSING = {408, 425, 429}
_READ = 4096


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
        self._opener = urllib.request.build_opener(_NoRedirect())

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
            problem, may_pass = self._post(body, delivery)
            if not problem:
                return
            if not may_pass:
                break
        msg = f"The web hook {self._shown} did not take alert {alert.id}: {problem}. It is tried again at the next look."
        raise DeliveryFailed(msg)

    def _post(self, body: bytes, delivery: str) -> tuple[str, bool]:
        """Post once; return what went wrong (nothing: it was taken) and whether it may pass."""
        request = urllib.request.Request(self._url, data=body, method="POST")  # noqa: S310 - the scheme was checked
        request.add_header("Content-Type", "application/cloudevents+json; charset=utf-8")
        request.add_header("User-Agent", "treadle")
        request.add_header(DELIVERY, delivery)
        if self._secret:
            request.add_header(SIGNATURE, sign(body, secret=self._secret, at=self._clock.now()))
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                answer.read(_READ)
        except urllib.error.HTTPError as error:
            error.close()
            if 300 <= error.code < 400:
                return (
                    f"it answered {error.code}, and redirects are not followed: configure the final address",
                    False,
                )
            return f"it answered {error.code}", error.code >= 500 or error.code in _PASSING
        except urllib.error.URLError as error:
            return f"it cannot be reached ({error.reason})", True
        except TimeoutError:
            return f"it did not answer within {self._timeout:g} s", True
        except (OSError, http.client.HTTPException) as error:
            return f"it broke off ({type(error).__name__})", True
        return "", False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect as the answer: an address that was not configured gets nothing."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def envelope(alert: Alert, *, source: str, delivery: str) -> dict[str, Any]:
    """Return an alert as a CloudEvents 1.0 event in structured JSON."""
    return {
        "specversion": "1.0",
        "id": delivery,
        "source": urllib.parse.quote(source) or "treadle",
        "type": f"treadle.alert.{_state(alert)}",
        "subject": alert.subject,
        "time": (alert.resolved_at or alert.at).isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "alert": alert.id,
            "rule": alert.rule,
            "subject": alert.subject,
            "text": alert.text,
            "at": alert.at.isoformat(),
            "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        },
    }


def sign(body: bytes, *, secret: str, at: datetime) -> str:
    """Return the signature header's value."""
    stamp = int(at.timestamp())
    return f"t={stamp},v1={_digest(body, secret, str(stamp))}"


def verify(body: bytes, header: str, *, secret: str, now: datetime, tolerance: float = 300.0) -> bool:
    """Return whether a signature fits the body and is at most `tolerance` seconds old: for receivers in Python."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    stamp = parts.get("t", "")
    if not (stamp.isascii() and stamp.isdigit()) or abs(now.timestamp() - int(stamp[:15])) > tolerance:
        return False
    return hmac.compare_digest(_digest(body, secret, stamp).encode(), parts.get("v1", "").encode())


def _digest(body: bytes, secret: str, stamp: str) -> str:
    return hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _state(alert: Alert) -> str:
    return "raised" if alert.resolved_at is None else "resolved"


def _checked(url: str) -> str:
    """Return the part of an address that may be shown: its path and query may hold secrets."""
    try:
        parts = urllib.parse.urlsplit(url)
        may_be = (
            parts.port != 0
            and bool(parts.hostname)
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError as error:
        msg = f"alerts.webhook is no address to post to ({error}). Expected https://host/path or http://…"
        raise SettingsError(msg) from error
    if parts.scheme not in {"http", "https"} or not may_be:
        msg = f"alerts.webhook is no address to post to (scheme {parts.scheme!r}). Expected https://host/path or http://…"
        raise SettingsError(msg)
    if parts.username is not None:
        msg = "alerts.webhook holds a user or a password. Expected an address without: receivers check alerts.secret."
        raise SettingsError(msg)
    return f"{parts.scheme}://{parts.netloc}"
