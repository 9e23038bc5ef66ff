"""Channels and routes as `treadle.toml` says them: what cannot be meant is refused, and secrets stay where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from treadle.core import settings
from treadle.core.errors import SettingsError
from treadle.monitoring import routes
from treadle.monitoring.rules import Rules
from treadle.testing.channels import a_message, receiver


def loaded(tmp_path: Path, text: str, **environment: str) -> settings.AlertsSettings:
    (tmp_path / "treadle.toml").write_text(text)
    return settings.load(tmp_path, environment=environment).alerts


def test_a_chat_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as got:
        (tmp_path / "hook").write_text(f"{got.url}/T0/secret\n")
        monkeypatch.setenv("SLACK_HOOK_FILE", str(tmp_path / "hook"))
        found = loaded(tmp_path, '[alerts.channels.chat]\nkind = "slack"\nurl = "env:SLACK_HOOK"\n')
        channel = routes.routes(found, project="<flights>").channels["chat"]()
        channel.send(a_message())

    (delivery,) = got.got
    assert delivery.path == "/hook/T0/secret"
    assert delivery.headers["content-type"].startswith("application/json")
    assert delivery.body.decode().startswith(
        '{"text":"*&lt;flights&gt;* [ticket] freshness: model:delay\\n• '
    )
    assert "secret" not in channel.shown


def test_rules_and_routes_are_read(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        """
        [alerts]
        webhook = "https://example.org/hook"
        [alerts.rules."stale-*"]
        severity = "page"
        count = 2
        period = "1h"
        [[alerts.routes]]
        channels = ["webhook"]
        severities = ["page"]
        """,
    )

    rules = Rules(found.rules)

    assert (rules.of("stale-data").severity, rules.of("stale-data").count) == ("page", 2)
    assert (rules.of("failed-run").severity, rules.of("rollout").severity) == ("ticket", "page")
    assert list(routes.routes(found, project="p").channels) == ["webhook"]


def test_tables_come_as_json_from_the_environment(tmp_path: Path) -> None:
    found = loaded(
        tmp_path, "", TREADLE_ALERTS__CHANNELS='{"chat": {"kind": "slack", "url": "https://example.org/x"}}'
    )

    assert found.channels["chat"].kind == "slack"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[alerts.channels.a]\nkind = "slck"\nurl = "x"', "no channel 'slck'.*Did you mean 'slack'"),
        ('[alerts.channels.a]\nkind = "slack"', "missing required field `url`"),
        ('[alerts.channels.a]\nkind = "slack"\nurl = "x"\ntoken = "hunter2"', "unknown field `token`"),
        ('[alerts.channels.a]\nkind = "slack"\nurl = 5\nsecret = "hunter2"', "Expected `str`"),
        ('[[alerts.routes]]\nchannels = ["ops"]', "number 1: no channel named 'ops'"),
        ('[[alerts.routes]]\nchannels = []\nseverities = ["loud"]', "Invalid enum value 'loud'"),
        ("[alerts.rules.x]\ncount = 0", r"alerts.rules.x.count = 0. Expected 1 or more"),
        ('[alerts.rules.x]\nlasting = "soon"', "'soon' is not a span of time"),
        ('[alerts.rules.x]\ncount = 2\nperiod = "0s"', "nothing happens 2 times in no time"),
        ('[alerts.rules.x]\nrepeat = "1s"', "expected a minute or more"),
        ('[alerts]\nwebhook = "https://x"\n[alerts.channels.webhook]\nkind = "slack"\nurl = "x"', "both say"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    def read() -> None:
        found = loaded(tmp_path, text)
        Rules(found.rules)
        routes.routes(found, project="p")

    with pytest.raises(SettingsError, match=said) as caught:
        read()

    assert "hunter2" not in str(caught.value)


# A library of Apprise's imports it; it is gone in Python 3.13.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'kind = "slack"\nurl = "https://u:hunter2@host/x"',
            "alerts.channels.a: .* holds a user or a password",
        ),
        ('kind = "slack"\nurl = "https://host/hunter2"\nto = ["a@b"]', "a channel 'slack' takes no to"),
        ('kind = "slack"\nurl = "https://host/x"\nsecret = "hunter2"', "checks no signature"),
        ('kind = "email"\nurl = "smtp://host"', "nobody is named"),
        ('kind = "apprise"\nurl = "nonsense://hunter2"', "Apprise knows no service"),
        ('kind = "slack"\nurl = "env:NO_SUCH"', "there is no variable NO_SUCH"),
    ],
)
def test_a_channel_that_cannot_speak_says_why_when_it_is_asked(tmp_path: Path, text: str, said: str) -> None:
    make = routes.routes(loaded(tmp_path, f"[alerts.channels.a]\n{text}"), project="p").channels["a"]

    with pytest.raises(SettingsError, match=said) as caught:
        make()

    assert "hunter2" not in str(caught.value)
