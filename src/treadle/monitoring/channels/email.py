"""Sends e-mail over SMTP, encrypted unless the server is on this machine."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
import urllib.parse
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from treadle.core import hooks
from treadle.core.clock import Clock, SystemClock
from treadle.core.errors import DeliveryFailed, SettingsError
from treadle.monitoring.channel import Message

_PORTS = {"smtp": 587, "smtps": 465}
_HERE = ("localhost", "127.0.0.1", "::1")


class Channel:
    """A mail server.

    `smtp://user@host:587` begins to encrypt (STARTTLS), `smtps://user@host:465` is encrypted from the start. The password is the
    channel's `secret`. Only a server on this machine is spoken to without encryption, where it offers none, and without a password.

    >>> Channel("smtp://ml@mail.example.org", secret="…", to=["team@example.org"]).send(message)    # doctest: +SKIP
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str = "",
        source: str = "treadle",
        clock: Clock | None = None,
        to: Sequence[str] = (),
        sender: str = "",
        timeout: float = 10.0,
        trusted: str = "",
    ) -> None:
        """Take the server, the password and the addresses; `timeout` is for each answer of the server, in seconds.

        `trusted` is a file with the certificate of an authority that this machine does not know by itself.

        Raises:
            SettingsError: the address is no server's, or nobody is named who could be written to.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError:  # what Python says of it may hold a part of a password
            msg = "the address is no mail server's. Expected smtp://user@host:587 or smtps://user@host:465"
            raise SettingsError(msg) from None
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            msg = f"the address is no mail server's (scheme {hooks.scheme(url)}). Expected smtp://user@host:587 or smtps://user@host:465"
            raise SettingsError(msg)
        if parts.password is not None:
            msg = "the address holds a password. Put it into secret, as secret = 'env:SMTP_PASSWORD'."
            raise SettingsError(msg)
        self._user = urllib.parse.unquote(parts.username or "")
        if bool(self._user) != bool(secret):
            there, lacking = (
                ("a user", "password (secret)") if self._user else ("a password", "user (smtp://user@host)")
            )
            msg = f"there is {there} and no {lacking}. Expected both, or neither."
            raise SettingsError(msg)
        self._host, self._port = parts.hostname, port or _PORTS[parts.scheme]
        self._is_secure = parts.scheme == "smtps"
        self._secret, self._source, self._timeout = secret, source, timeout
        self._clock = clock or SystemClock()
        self._to = tuple(_address(one, "to") for one in to)
        if not self._to:
            msg = "nobody is named who could be written to. Expected as to = ['team@example.org']."
            raise SettingsError(msg)
        self._sender = _address(
            sender or (self._user if "@" in self._user else f"treadle@{self._host}"), "sender"
        )
        self._trusted = trusted

    @property
    def shown(self) -> str:
        """The server."""
        return f"{'smtps' if self._is_secure else 'smtp'}://{self._host}:{self._port}"

    def send(self, message: Message) -> None:
        """Send a message, in one letter to all.

        Raises:
            DeliveryFailed: the server cannot be reached, is not trusted, or took it for nobody.
        """
        letter = self._letter(message)
        try:
            with self._connected() as server:
                refused = server.send_message(letter)
        except smtplib.SMTPAuthenticationError as error:
            self._fail(message, f"it does not take user and password ({error.smtp_code})", error)
        except smtplib.SMTPRecipientsRefused as error:
            self._fail(message, f"it refused all of {len(error.recipients)} addresses", error)
        except smtplib.SMTPResponseException as error:
            self._fail(message, f"it answered {error.smtp_code}", error)
        except (OSError, smtplib.SMTPException) as error:
            said = (
                str(error)
                if isinstance(error, ssl.SSLError | TimeoutError | _Unencrypted)
                else type(error).__name__
            )
            self._fail(message, f"it cannot be spoken to ({said})", error)
        if refused:
            self._fail(message, f"it refused {len(refused)} of {len(self._to)} addresses", None)

    def _fail(self, message: Message, why: str, cause: Exception | None) -> None:
        msg = f"The mail server {self.shown} did not take {message.id}: {why}. It is tried again later."
        raise DeliveryFailed(msg) from cause

    def _connected(self) -> smtplib.SMTP:
        """Return the server, encrypted and let in."""
        trust = ssl.create_default_context(cafile=self._trusted or None)
        if self._is_secure:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=self._timeout, context=trust
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        try:
            server.ehlo()
            if not self._is_secure:
                self._encrypt(server, trust)
            if self._secret:
                server.login(self._user, self._secret)
        except BaseException:
            server.close()
            raise
        return server

    def _encrypt(self, server: smtplib.SMTP, trust: ssl.SSLContext) -> None:
        if server.has_extn("starttls"):
            server.starttls(context=trust)
            server.ehlo()
        elif self._secret or self._host not in _HERE:
            msg = "it offers no encryption (STARTTLS)"
            raise _Unencrypted(msg)

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage()
        letter["Subject"] = " ".join(f"{self._source}: {message.title}".split())
        letter["From"], letter["To"] = self._sender, ", ".join(self._to)
        letter["Date"] = format_datetime(self._clock.now())
        # The same when it is sent again: mail programs show one letter.
        digest = hashlib.sha256(message.id.encode()).hexdigest()[:32]
        letter["Message-ID"] = f"<{digest}@{parseaddr(self._sender)[1].rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        about = [f"rule: {message.rule}", f"severity: {message.severity}", f"project: {self._source}"]
        since = f"since: {message.alerts[0].at:%Y-%m-%d %H:%M} UTC"
        letter.set_content("\n".join([*message.lines, "", *about, since, ""]))
        return letter


class _Unencrypted(OSError):
    """What would be sent could be read on its way."""


def _address(text: str, field: str) -> str:
    name = parseaddr(text)[1]
    if "@" not in name or not text.isprintable() or "," in text:
        msg = f"{field} holds {text!r}. Expected an address, as 'team@example.org'."
        raise SettingsError(msg)
    return text
