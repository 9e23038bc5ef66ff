"""What every channel must do, tried against real receivers on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import msgspec
import pytest

from treadle.core.alert import Alert
from treadle.core.errors import DeliveryFailed
from treadle.monitoring.channel import MOST_SHOWN, Channel, Message

#: How a receiver behaves: it takes everything, fails, refuses, never answers, or is not there.
Manner = Literal["takes", "fails", "refuses", "hangs", "gone"]
#: A part of the address that nobody may read in errors.
HIDDEN = "T0/very-secret"


@dataclass(frozen=True)
class Place:
    """A receiver, and how to speak to it."""

    #: Makes a new channel that speaks to it.
    channel: Callable[[], Channel]
    #: Returns what it has got, as texts.
    got: Callable[[], list[str]]
    #: What must be in no error.
    secrets: tuple[str, ...]


#: Opens a receiver that behaves in a manner, for the length of a block.
Open = Callable[[Manner], AbstractContextManager[Place]]


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


def over_http(build: Callable[[str], Channel]) -> Open:
    """Return what opens receivers for a channel that posts to an address; `build` makes it for one, with time-outs well under a second."""
    statuses = {"takes": 204, "fails": 500, "refuses": 404, "hangs": 0, "gone": 204}

    @contextmanager
    def opened(manner: Manner) -> Iterator[Place]:
        with receiver(statuses[manner]) as there:
            address = f"{there.url}/{HIDDEN}?key=hidden"
            place = Place(
                lambda: build(address), lambda: [said(one.body) for one in there.got], (HIDDEN, "hidden")
            )
            if manner != "gone":
                yield place
        if manner == "gone":
            yield place

    return opened


def said(body: bytes) -> str:
    """Return what a body says, with what JSON escapes as it is meant."""
    text = body.decode()
    return str(msgspec.json.decode(body)) if text.startswith("{") else text


def an_alert(*, resolved: bool = False, subject: str = "model:delay") -> Alert:
    """Return an alert to send."""
    at = datetime(2013, 11, 30, 6, tzinfo=UTC)
    return Alert(
        id=f"alert_01k0000000000000000000000{len(subject) % 10}",
        rule="freshness",
        subject=subject,
        text="The newest row is 3d old; the limit is 2d. – „quoted“",
        at=at,
        resolved_at=at.replace(hour=7) if resolved else None,
        delivered=False,
    )


def a_message(*alerts: Alert, resolved: bool = False) -> Message:
    """Return a message to send."""
    told = alerts or (an_alert(resolved=resolved),)
    state: Literal["raised", "resolved"] = "resolved" if resolved else "raised"
    return Message(
        id=f"{told[0].id}.{state}", state=state, rule=told[0].rule, severity=told[0].severity, alerts=told
    )


def check_says_what_it_is_about(open_: Open) -> None:
    """The message holds the alert's rule, severity, subject and text."""
    with open_("takes") as place:
        place.channel().send(a_message())

        (text,) = place.got()
    assert all(word in text for word in ("freshness", "ticket", "model:delay", an_alert().text)), text


def check_tells_several_subjects_at_once(open_: Open) -> None:
    """One message tells all its subjects; of very many it says how many more there are, or tells all."""
    few = [an_alert(subject=f"model:m{number}") for number in range(3)]
    many = [an_alert(subject=f"model:m{number}") for number in range(MOST_SHOWN + 12)]
    with open_("takes") as place:
        place.channel().send(a_message(*few))
        place.channel().send(a_message(*many))

        first, second = place.got()
    assert all(alert.subject in first for alert in few)
    assert "12 more" in second or all(alert.subject in second for alert in many)


def check_tells_resolved_from_raised(open_: Open) -> None:
    """The message of a resolved alert is another one than that of the same alert raised, and says so."""
    with open_("takes") as place:
        place.channel().send(a_message())
        place.channel().send(a_message(resolved=True))

        raised, resolved = place.got()
    assert "resolved" in resolved
    assert raised != resolved


def check_hostile_words_change_nothing(open_: Open) -> None:
    """Line ends, markup and control characters in subject and text reach people as words, or not at all."""
    alert = an_alert(subject="model:x\r\nBcc: evil@example.org\r\n<!channel> {{7*7}} \x1b[31m")
    with open_("takes") as place:
        place.channel().send(a_message(alert))

        (text,) = place.got()
    assert "\x1b" not in text
    assert "\nBcc:" not in text.partition("\n\n")[0]


def check_failures_are_failed_deliveries(open_: Open) -> None:
    """A receiver that fails, refuses, never answers or is not there makes `send` raise `DeliveryFailed`, without secrets."""
    manners: tuple[Manner, ...] = ("fails", "refuses", "hangs", "gone")
    for manner in manners:
        with open_(manner) as place, pytest.raises(DeliveryFailed) as caught:
            place.channel().send(a_message())
        assert [secret for secret in place.secrets if secret in str(caught.value)] == []


def check_it_shows_no_secret(open_: Open) -> None:
    """What `treadle check` says of it holds no secret."""
    with open_("takes") as place:
        channel = place.channel()

        assert channel.shown
        assert [secret for secret in place.secrets if secret in f"{channel.shown} {channel!r}"] == []


#: All checks; each takes what opens a receiver, see `over_http`.
CHECKS = (
    check_says_what_it_is_about,
    check_tells_several_subjects_at_once,
    check_tells_resolved_from_raised,
    check_hostile_words_change_nothing,
    check_failures_are_failed_deliveries,
    check_it_shows_no_secret,
)
