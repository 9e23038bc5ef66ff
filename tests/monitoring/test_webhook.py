"""The web hook, against real receivers: signature, envelope, failures, silence, redirects."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from treadle.core.clock import ManualClock
from treadle.core.errors import DeliveryFailed, SettingsError
from treadle.monitoring.alerts import Alerts
from treadle.monitoring.channels.webhook import Channel, verify
from treadle.monitoring.routes import Routes
from treadle.store.ledger.ledger import Ledger
from treadle.testing.channels import a_message, an_alert, receiver

NOW = datetime(2013, 12, 1, tzinfo=UTC)


def channel(url: str, **changes: object) -> Channel:
    arguments = {"secret": "s3cret", "clock": ManualClock(NOW), "timeout": 0.3, "pause": 0.0, **changes}
    return Channel(url, **arguments)  # type: ignore[arg-type]


def test_the_signature_can_be_recomputed_by_the_receiver() -> None:
    with receiver() as got:
        channel(got.url).send(a_message())

    [delivery] = got.got
    stamp, given = (part.split("=")[1] for part in delivery.headers["treadle-signature"].split(","))
    expected = hmac.new(b"s3cret", f"{stamp}.".encode() + delivery.body, hashlib.sha256).hexdigest()
    assert given == expected
    assert int(stamp) == NOW.timestamp()


def test_the_body_is_a_cloud_event() -> None:
    with receiver() as got:
        channel(got.url, source="flights").send(a_message(resolved=True))

    [delivery] = got.got
    event = json.loads(delivery.body)
    assert delivery.headers["content-type"].startswith("application/cloudevents+json")
    assert delivery.headers["treadle-delivery"] == event["id"] == f"{an_alert().id}.resolved"
    assert (event["specversion"], event["source"], event["type"]) == (
        "1.0",
        "flights",
        "treadle.alert.resolved",
    )
    assert (event["subject"], event["time"]) == ("model:delay", "2013-11-30T07:00:00+00:00")
    assert [alert["text"] for alert in event["data"]["alerts"]] == [an_alert().text]


def test_receivers_in_python_can_verify() -> None:
    with receiver() as got:
        channel(got.url).send(a_message())
    body, header = got.got[0].body, got.got[0].headers["treadle-signature"]

    assert verify(body, header, secret="s3cret", now=NOW + timedelta(minutes=4))
    assert not verify(body + b" ", header, secret="s3cret", now=NOW)
    assert not verify(body, header, secret="other", now=NOW)
    assert not verify(body, header, secret="s3cret", now=NOW + timedelta(minutes=6))
    for nonsense in ("", "t=,v1=", "t=²,v1=ü", f"t={'9' * 5000},v1=00", "v1=00"):
        assert not verify(body, nonsense, secret="s3cret", now=NOW)


def test_without_a_secret_nothing_is_signed() -> None:
    with receiver() as got:
        channel(got.url, secret="").send(a_message())

    assert "treadle-signature" not in got.got[0].headers


def test_a_receiver_that_recovers_gets_it_with_the_same_id_and_body() -> None:
    with receiver(503, 429, 200) as got:
        channel(got.url).send(a_message())

    assert len(got.got) == 3
    assert len({(each.headers["treadle-delivery"], each.body) for each in got.got}) == 1


def test_a_receiver_that_fails_is_tried_three_times() -> None:
    with receiver(500) as got, pytest.raises(DeliveryFailed, match="it answered 500"):
        channel(got.url).send(a_message())

    assert len(got.got) == 3


def test_a_receiver_that_refuses_is_not_asked_again() -> None:
    with receiver(404) as got, pytest.raises(DeliveryFailed, match="it answered 404"):
        channel(got.url).send(a_message())

    assert len(got.got) == 1


def test_a_receiver_that_hangs_is_given_up() -> None:
    with receiver(0) as got, pytest.raises(DeliveryFailed, match=r"did not answer within 0.5 s|timed out"):
        channel(got.url, timeout=0.5).send(a_message())

    assert len(got.got) == 3


def test_nobody_at_the_address() -> None:
    with receiver() as got:
        gone = got.url

    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        channel(gone).send(a_message())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    with receiver() as other, receiver(status) as got:
        got.location = other.url
        with pytest.raises(DeliveryFailed, match="redirects are not followed"):
            channel(got.url).send(a_message())

    assert (len(got.got), len(other.got)) == (1, 0)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/x",
        "host/x",
        "",
        "http://",
        "http://host/a b",
        "http://host/\r\nX: y",
        "data:,x",
        "http://host:99999/x",
        "http://host:0/",
        "http://[::1/x",
        "http://hüte.example/x",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"alerts\.webhook"):
        Channel(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        Channel("https://user:hunter2@host/x")

    assert "hunter2" not in str(caught.value)


def test_alerts_reach_a_receiver_that_was_down_at_first(ledger: Ledger, clock: ManualClock) -> None:
    with receiver(500, 500, 500, 204) as got:
        there = channel(got.url)
        alerts = Alerts(ledger=ledger, clock=clock, routes=Routes(channels={"hook": lambda: there}))
        raised = alerts.raise_("freshness", "model:delay", "stale")
        clock.advance("5s")

        alerts.settle("freshness", {"model:delay": "stale"})

    assert raised is not None
    assert raised.delivered is False
    assert [alert.delivered for alert in alerts.open()] == [True]
    assert len({delivery.body for delivery in got.got}) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:hunter2/x@example.org/hook",
        "hunter2:5",
        "https://[hunter2/x",
        "https://example.org:hunter2",
    ],
)
def test_an_address_that_is_none_is_refused_without_what_may_be_a_secret(url: str) -> None:
    with pytest.raises(SettingsError, match="is no address to post to") as refused:
        Channel(url)

    assert "hunter2" not in str(refused.value)
    cause = refused.value.__cause__
    assert cause is not None
    assert cause.__cause__ is None
