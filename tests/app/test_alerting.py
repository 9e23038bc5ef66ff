from __future__ import annotations

import json

from treadle.app.workspace import open_workspace
from treadle.testing.channels import receiver


def test_alerts_are_listed_taken_on_and_silenced(shop, typed):
    with open_workspace(shop) as workspace:
        alert = workspace.alerts.raise_("stale-data", "model:buys", "The newest row is 3d old.")

    listed = typed("alerts").out
    taken = typed("alerts", "ack", alert.id, "--reason", "I look", "--by", "ada")
    silenced = json.loads(
        typed("alerts", "silence", "--rule", "stale-*", "--until", "2h", "--reason", "a move", "--json").out
    )
    told = json.loads(typed("alerts", "--json").out)
    shown = typed("alerts").out
    ended = typed("alerts", "unsilence", silenced["id"])

    assert "ticket stale-data on model:buys: The newest row is 3d old." in listed
    assert taken.out == "stale-data on model:buys is taken on by ada\n"
    assert told["alerts"][0]["acknowledged"]["reason"] == "I look"
    assert [one["rule"] for one in told["silences"]] == ["stale-*"]
    assert "taken on by ada: I look" in shown
    assert "stale-* on *, by " in shown
    assert ended.out == f"{silenced['id']} is over\n"
    assert json.loads(typed("alerts", "list", "--rule", "stale-data", "--json").out)[0]["id"] == alert.id
    assert "taken on by ada" in typed("status").out


def test_a_channel_is_tried_and_checked_without_its_secret(shop, typed):
    with receiver() as got:
        channel = {"chat": {"kind": "slack", "url": f"{got.url}/T0/very-secret"}}
        (shop / "treadle.toml").write_text(
            (shop / "treadle.toml").read_text()
            + f'\n[alerts.channels.chat]\nkind = "slack"\nurl = "{channel["chat"]["url"]}"\n'
        )

        done = typed("alerts", "test", "chat")
        checked = typed("check")

    assert (done.code, len(got.got)) == (0, 1)
    assert "channel chat: http://127.0.0.1:" in checked.out
    assert "very-secret" not in checked.out + done.out + done.err
    gone = typed("alerts", "test", "chat")
    assert gone.code == 1
    assert "cannot be reached" in gone.sentence
    assert "very-secret" not in gone.sentence


def test_what_is_asked_wrongly_is_told_of_alerts(shop, typed):
    for arguments, said in (
        (("ack", "alert_1", "--reason", "x"), "No alert named 'alert_1'"),
        (("silence", "--until", "soon", "--reason", "x"), "neither a span, as 2h or 1d12h, nor a moment"),
        (("silence", "--until", "99999999d", "--reason", "x"), "neither a span"),
        (("silence", "--until", "9999-12-31T23:59:59-12:00", "--reason", "x"), "nor a moment"),
        (("silence", "--until", "2001-01-01T00:00", "--reason", "x"), "would be over already"),
        (("unsilence", "s"), "No silence named 's'"),
        (("test", "chat"), "No channel named 'chat'"),
    ):
        done = typed("alerts", *arguments)
        assert done.code != 0
        assert said in done.sentence
