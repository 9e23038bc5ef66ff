"""E-mail, through real mail servers: encryption, passwords, letters, refusals."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services import missing
from smtp_places import PASSWORD, Mailroom, mail_server
from treadle.core.clock import ManualClock
from treadle.core.errors import DeliveryFailed, SettingsError
from treadle.monitoring.channels.email import Channel
from treadle.testing.channels import a_message, an_alert

TO = ["team@example.org", "Ada <ada@example.org>"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate that only this test trusts, in one file."""
    if shutil.which("openssl") is None:
        missing("No openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    made = ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made, *names],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def room() -> Mailroom:
    return Mailroom()


def test_a_letter_goes_to_all_in_one(room: Mailroom) -> None:
    clock = ManualClock(datetime(2013, 12, 1, tzinfo=UTC))
    with mail_server(room) as port:
        channel = Channel(
            f"smtp://127.0.0.1:{port}", source="flights", to=TO, sender="ml@example.org", clock=clock
        )
        channel.send(a_message())
        channel.send(a_message())

    first, again = room.letters
    assert room.recipients[0] == ["team@example.org", "ada@example.org"]
    assert first["Subject"] == "flights: [ticket] freshness: model:delay"
    assert first["From"] == "ml@example.org"
    assert first["Date"] == "Sun, 01 Dec 2013 00:00:00 +0000"
    assert first["Message-ID"] == again["Message-ID"]
    assert f"model:delay: {an_alert().text}" in first.get_content().splitlines()


def test_words_from_elsewhere_make_no_headers(room: Mailroom) -> None:
    alert = an_alert(subject="model:x\r\nBcc: evil@example.org\r\n\r\nclick here")
    with mail_server(room) as port:
        Channel(f"smtp://127.0.0.1:{port}", source="a\nb", to=TO).send(a_message(alert))

    (letter,) = room.letters
    assert letter["Bcc"] is None
    assert letter["Subject"] == "a b: [ticket] freshness: model:x Bcc: evil@example.org click here"
    assert room.recipients == [["team@example.org", "ada@example.org"]]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_it_is_encrypted_and_let_in_by_its_password(room: Mailroom, certificate: Path, scheme: str) -> None:
    with mail_server(room, certificate=certificate, user="ml", implicit=scheme == "smtps") as port:
        channel = Channel(f"{scheme}://ml@127.0.0.1:{port}", secret=PASSWORD, to=TO, trusted=str(certificate))
        channel.send(a_message())

    assert room.encrypted == [True]


def test_a_wrong_password_is_said_and_not_repeated(room: Mailroom, certificate: Path) -> None:
    with mail_server(room, certificate=certificate, user="ml") as port:
        channel = Channel(f"smtp://ml@127.0.0.1:{port}", secret="hunter2", to=TO, trusted=str(certificate))
        with pytest.raises(DeliveryFailed, match="does not take user and password") as caught:
            channel.send(a_message())

    assert "hunter2" not in str(caught.value)
    assert room.letters == []


def test_a_certificate_that_nobody_knows_is_not_trusted(room: Mailroom, certificate: Path) -> None:
    with mail_server(room, certificate=certificate, user="ml") as port:
        channel = Channel(f"smtp://ml@127.0.0.1:{port}", secret=PASSWORD, to=TO)
        with pytest.raises(DeliveryFailed, match="certificate verify failed"):
            channel.send(a_message())

    assert room.letters == []


def test_a_password_is_never_sent_in_the_clear(room: Mailroom) -> None:
    with mail_server(room) as port:
        channel = Channel(f"smtp://ml@127.0.0.1:{port}", secret=PASSWORD, to=TO)
        with pytest.raises(DeliveryFailed, match="offers no encryption"):
            channel.send(a_message())

    assert room.letters == []


def test_some_addresses_refused_is_not_delivered(room: Mailroom) -> None:
    room.refused = ("ada@example.org",)
    with mail_server(room) as port:
        channel = Channel(f"smtp://127.0.0.1:{port}", to=TO)
        with pytest.raises(DeliveryFailed, match="refused 1 of 2 addresses"):
            channel.send(a_message())


@pytest.mark.parametrize(
    ("url", "given", "said"),
    [
        ("http://host", {}, "scheme 'http'"),
        ("smtp://", {}, "no mail server's"),
        ("smtp://host:99999", {}, "no mail server's"),
        ("smtp://host/inbox", {}, "no mail server's"),
        ("smtp://u:hunter2@host", {}, "holds a password"),
        ("smtp://u@host", {}, "there is a user and no password"),
        ("smtp://host", {"secret": "hunter2"}, "there is a password and no user"),
        ("smtp://host", {"to": []}, "nobody is named"),
        ("smtp://host", {"to": ["nobody"]}, "to holds 'nobody'"),
        ("smtp://host", {"to": ["a@b, c@d"]}, "to holds"),
        ("smtp://host", {"sender": "x"}, "sender holds 'x'"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_secrets(
    url: str, given: dict[str, object], said: str
) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        Channel(url, **{"to": TO, **given})  # type: ignore[arg-type]

    assert "hunter2" not in str(caught.value)
