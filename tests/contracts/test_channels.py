"""Every channel keeps the contract of channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import smtp_places
from treadle.core import plugins
from treadle.testing import channels
from treadle.testing.channels import Open

_SHORT = {"timeout": 0.2, "tries": 2, "pause": 0.0}


def _over_http(name: str, **more: Any) -> Open:
    channel = plugins.load("channel", name).Channel
    return channels.over_http(lambda url: channel(url, **more))


def _apprise() -> Open:
    channel = plugins.load("channel", "apprise").Channel
    return channels.over_http(
        lambda url: channel(
            url.replace("http://", "json://").partition("?")[0] + "?rto=0.3&cto=0.3&+key=hidden"
        )
    )


#: How the receivers of a channel are opened; a new channel that posts to an address needs no line here.
OPEN: dict[str, Callable[[], Open]] = {
    "webhook": lambda: _over_http("webhook", **_SHORT),
    "slack": lambda: _over_http("slack", **_SHORT),
    "apprise": _apprise,
    "email": lambda: smtp_places.opened,
}


# A library of Apprise's imports it; it is gone in Python 3.13.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", plugins.available("channel"))
@pytest.mark.parametrize("check", channels.CHECKS, ids=lambda check: check.__name__)
def test_channel(name: str, check: Callable[[Open], None]) -> None:
    check(OPEN.get(name, lambda: _over_http(name))())
