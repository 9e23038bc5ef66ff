"""Real mail servers on loopback: one that encrypts, one that does not, and some that misbehave."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from services import free_ports
from treadle.monitoring.channels.email import Channel
from treadle.testing.channels import Manner, Place

PASSWORD = "very-secret-password"


@dataclass
class Mailroom:
    """What a mail server got, and how it answers."""

    #: Letters as they came.
    letters: list[EmailMessage] = field(default_factory=list)
    #: Addresses that each letter was for.
    recipients: list[list[str]] = field(default_factory=list)
    #: Whether each letter came encrypted.
    encrypted: list[bool] = field(default_factory=list)
    answer: str = "250 OK"
    refused: tuple[str, ...] = ()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused or self.answer.startswith("55"):
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            letter = message_from_bytes(envelope.content, policy=policy.default)
            self.letters.append(letter)  # type: ignore[arg-type]
            self.recipients.append(list(envelope.rcpt_tos))
            self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        return self.answer

    def texts(self) -> list[str]:
        """Return subject and body of each letter."""
        return [
            f"Subject: {letter['Subject']}\n\n{' '.join(str(letter.get_content()).splitlines())}"
            for letter in self.letters
        ]


@contextmanager
def mail_server(
    room: Mailroom, *, certificate: Path | None = None, user: str = "", implicit: bool = False
) -> Iterator[int]:
    """Run a mail server for the length of a block and yield its port; with a certificate it encrypts, with a user it asks for the password."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (
            user.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=right, handled=False)

    # Of a connection that is encrypted from the start aiosmtpd does not see that it is.
    demands = {"auth_require_tls": False} if implicit else {"auth_required": True}
    more: dict[str, Any] = {"authenticator": known, **demands} if user else {}
    if context is not None and not implicit:
        more["tls_context"] = context
    loop = asyncio.new_event_loop()
    started: Future[Any] = Future()

    async def serve() -> None:
        made = await loop.create_server(
            lambda: SMTP(room, hostname="localhost", loop=loop, **more),
            "127.0.0.1",
            0,
            ssl=context if implicit else None,
        )
        started.set_result(made)

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    server = started.result(60)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_ended(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _ended() -> None:
    """End what still speaks."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@contextmanager
def silent_server() -> Iterator[int]:
    """Take connections and say nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []
    ended = threading.Event()

    def take() -> None:
        listener.settimeout(0.1)
        while not ended.is_set():
            try:
                held.append(listener.accept()[0])
            except TimeoutError:
                continue

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        thread.join()
        for one in (*held, listener):
            one.close()


@contextmanager
def opened(manner: Manner) -> Iterator[Place]:
    """Open a mail server that behaves in a manner, for the contract of channels."""
    answers = {"takes": "250 OK", "fails": "451 not now", "refuses": "550 no"}
    room = Mailroom(answer=answers.get(manner, "250 OK"))

    def place(port: int) -> Place:
        def channel() -> Channel:
            return Channel(
                f"smtp://127.0.0.1:{port}", to=["team@example.org"], timeout=0.5 if manner != "takes" else 10
            )

        return Place(channel, room.texts, (PASSWORD,))

    if manner == "hangs":
        with silent_server() as port:
            yield place(port)
    elif manner == "gone":
        yield place(free_ports(1)[0])
    else:
        with mail_server(room) as port:
            yield place(port)
