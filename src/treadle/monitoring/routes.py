"""Where alerts go: channels by name, and the routes that lead to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from treadle.core import plugins
from treadle.core.alert import Alert
from treadle.core.clock import SystemClock
from treadle.core.errors import NotFound, SettingsError, closest
from treadle.core.settings import AlertsSettings, referenced
from treadle.core.telling import ChannelSettings, RouteSettings
from treadle.monitoring.channel import Channel

#: The channel that the settings `alerts.webhook` and `alerts.secret` stand for.
WEBHOOK = "webhook"


@dataclass(frozen=True, kw_only=True)
class Routes:
    """Channels, each made when it is first spoken to, and which alerts go to which."""

    #: By name.
    channels: Mapping[str, Callable[[], Channel]] = field(default_factory=dict)
    routes: Sequence[RouteSettings] = ()

    def of(self, alert: Alert) -> tuple[str, ...]:
        """Return the names of the channels that an alert goes to."""
        if not self.routes:
            return tuple(self.channels)
        wanted = {name for route in self.routes if _fits(route, alert) for name in route.channels}
        return tuple(name for name in self.channels if name in wanted)


def routes(settings: AlertsSettings, *, project: str) -> Routes:
    """Return the channels and routes of the settings; nothing is connected to.

    Raises:
        SettingsError: a route leads to a channel that there is not, a plug-in is unknown, or a channel is named twice.
    """
    given = dict(settings.channels)
    if settings.webhook:
        if WEBHOOK in given:
            msg = "Settings alerts.webhook and alerts.channels.webhook both say where web hooks go. Leave one of them out."
            raise SettingsError(msg)
        given[WEBHOOK] = ChannelSettings(kind=WEBHOOK, url=settings.webhook, secret=settings.secret)
    for name, one in given.items():
        if one.kind not in plugins.available("channel"):
            msg = f"Setting alerts.channels.{name}.kind: no channel {one.kind!r}. {closest(one.kind, plugins.available('channel'))}"
            raise SettingsError(msg)
    for place, route in enumerate(settings.routes, start=1):
        for name in route.channels:
            if name not in given:
                msg = f"Setting alerts.routes, number {place}: no channel named {name!r}. {closest(name, given)}"
                raise SettingsError(msg)
    made = {name: _maker(name, one, project) for name, one in given.items()}
    return Routes(channels=made, routes=settings.routes)


def _maker(name: str, given: ChannelSettings, project: str) -> Callable[[], Channel]:
    kept: list[Channel] = []

    def make() -> Channel:
        if not kept:
            kept.append(_channel(name, given, project))
        return kept[0]

    return make


def _channel(name: str, given: ChannelSettings, project: str) -> Channel:
    """Return a channel, ready to speak.

    Raises:
        SettingsError: it cannot be made; the message names the setting and holds no secret.
        MissingExtra: it needs a library that is not installed.
    """
    more: dict[str, Any] = {"to": given.to} if given.to else {}
    if given.sender:
        more["sender"] = given.sender
    try:
        made: Channel = plugins.load("channel", given.kind).Channel(
            referenced(given.url),
            secret=referenced(given.secret),
            source=project,
            clock=SystemClock(),
            **more,
        )
    except TypeError as error:
        msg = f"Setting alerts.channels.{name}: a channel {given.kind!r} takes no {' and no '.join(more)}."
        raise SettingsError(msg) from error
    except (SettingsError, NotFound) as error:
        msg = f"Setting alerts.channels.{name}: {error}"
        raise SettingsError(msg) from error
    return made


def _fits(route: RouteSettings, alert: Alert) -> bool:
    return (
        alert.severity in route.severities
        and any(fnmatchcase(alert.rule, pattern) for pattern in route.rules)
        and any(fnmatchcase(alert.subject, pattern) for pattern in route.subjects)
    )
