"""What every channel must do, tried against a real HTTP receiver on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from treadle.core.errors import DeliveryFailed
from treadle.core.records import Alert
from treadle.monitoring.channel import Channel

#: Builds the channel under test for an address.
Build = Callable[[str], Channel]


@dataclass(frozen=True)
class Delivery:
    """One request that a receiver got."""

    path: str
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP server on loopback that remembers what it gets and answers as it is told."""

    url: str = ""
    got: list[Delivery] = field(default_factory=list)
    #: Statuses of the next answers; the last one stays. 0: never answer.
    answers: Sequence[int] = (204,)
    #: Where redirects (3xx) lead.
    location: str = ""

    def next_answer(self) -> int:
        """Return the status of the next answer."""
        status, *rest = self.answers
        self.answers = rest or (status,)
        return status


@contextmanager
def receiver(*answers: int) -> Iterator[Receiver]:
    """Run a receiver for the length of a block; `answers` are the statuses of its answers (default 204)."""
    state = Receiver(answers=answers or (204,))
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.got.append(Delivery(path=self.path, headers=headers, body=body))
            status = state.next_answer()
            if status == 0:
                ended.wait(60)
                return
            self.send_response(status)
            if state.location:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


def an_alert(*, resolved: bool = False) -> Alert:
    """Return an alert to send."""
    at = datetime(2013, 11, 30, 6, tzinfo=UTC)
    return Alert(
        id="alert_01k0000000000000000000000",
        rule="freshness",
        subject="model:delay",
        text="The newest row is 3d old; the limit is 2d. – „quoted“",
        at=at,
        resolved_at=at.replace(hour=7) if resolved else None,
        delivered=False,
    )


def check_says_what_it_is_about(build: Build) -> None:
    """The message holds the alert's rule, subject and text."""
    with receiver() as got:
        build(got.url).send(an_alert())

    body = got.got[0].body.decode()
    said = str(msgspec.json.decode(body)) if body.startswith("{") else body
    assert all(word in said for word in ("freshness", "model:delay", an_alert().text)), said


def check_tells_resolved_from_raised(build: Build) -> None:
    """The message of a resolved alert is another one than that of the same alert raised."""
    with receiver() as got:
        build(got.url).send(an_alert())
        build(got.url).send(an_alert(resolved=True))

    assert got.got[0].body != got.got[1].body


def check_an_error_is_a_failed_delivery(build: Build) -> None:
    """A receiver that answers with errors makes `send` raise `DeliveryFailed`."""
    for status in (500, 404):
        with receiver(status) as got:
            _must_fail(build(got.url))


def check_silence_is_a_failed_delivery(build: Build) -> None:
    """A receiver that is not there, and one that never answers, make `send` raise `DeliveryFailed`."""
    with receiver(0) as got:
        _must_fail(build(got.url))
    _must_fail(build(got.url))


def check_errors_hold_no_address(build: Build) -> None:
    """The path of the address, which may be a secret, is not in the error."""
    with receiver(500) as got:
        error = _must_fail(build(f"{got.url}/T0/very-secret?key=hidden"))

    assert "very-secret" not in str(error)
    assert "hidden" not in str(error)


def _must_fail(channel: Channel) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        channel.send(an_alert())
    return caught.value


#: All checks; each takes what builds the channel for an address, with time-outs well under a second.
CHECKS = (
    check_says_what_it_is_about,
    check_tells_resolved_from_raised,
    check_an_error_is_a_failed_delivery,
    check_silence_is_a_failed_delivery,
    check_errors_hold_no_address,
)
