"""How alerts reach people, as `treadle.toml` says it: channels, routes, and what each rule asks for."""

from __future__ import annotations

from typing import Literal

import msgspec

from treadle.core.section import Section

#: How soon somebody must look: now, in working hours, or when it suits.
Severity = Literal["page", "ticket", "info"]


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way to tell a person: a table `[alerts.channels.<name>]`."""

    #: The plug-in that speaks, as `slack`.
    kind: str
    #: Where it speaks to; `env:NAME` is the variable, or what stands in the file that `NAME_FILE` names.
    url: str
    #: Key or password, in the same way.
    secret: str = ""
    #: Who is told, where the address does not say it, and who tells: addresses of e-mail.
    to: tuple[str, ...] = ()
    sender: str = ""


class RouteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which alerts go to which channels: a table `[[alerts.routes]]`; patterns are those of file names."""

    #: Names of channels.
    channels: tuple[str, ...]
    rules: tuple[str, ...] = ("*",)
    subjects: tuple[str, ...] = ("*",)
    severities: tuple[Severity, ...] = ("page", "ticket", "info")


class RuleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule asks for before somebody is told: a table `[alerts.rules.<pattern>]`."""

    #: `page`, `ticket` or `info`; None: the rule's own.
    severity: Severity | None = None
    #: How often it has to begin to hold within `period` before it is an alert.
    count: int = 1
    period: str = "1d"
    #: How long it has to hold before it is an alert.
    lasting: str = "0s"
    #: How long after the last message about a subject the next one may be sent.
    cooldown: str = "0s"
    #: How long a message waits for more subjects, which are told together.
    group: str = "0s"
    #: How often it is told again while it holds and nobody has acknowledged it; empty: never.
    repeat: str = ""


class AlertsSettings(Section, frozen=True, kw_only=True):
    """Who is told when something needs a person."""

    #: Address that receives a signed JSON `POST` for each alert; empty: alerts are only stored.
    webhook: str = ""
    #: Key of the HMAC-SHA256 signature in the header `Treadle-Signature`.
    secret: str = ""
    #: More ways to tell a person, by name: tables `[alerts.channels.<name>]`.
    channels: dict[str, ChannelSettings] = {}  # noqa: RUF012 - msgspec copies it
    #: Which alerts go where: tables `[[alerts.routes]]`; without any, every alert goes to every channel.
    routes: tuple[RouteSettings, ...] = ()
    #: What rules ask for before somebody is told: tables `[alerts.rules.<pattern>]`; of several that fit, the first counts.
    rules: dict[str, RuleSettings] = {}  # noqa: RUF012 - msgspec copies it
    #: How long resolved alerts are kept.
    keep: str = "365d"


class WatchSettings(Section, frozen=True, kw_only=True):
    """What `treadle watch` says of the project to Prometheus."""

    #: Address at which it answers `/metrics`. Anything but loopback needs `token`.
    host: str = "127.0.0.1"
    #: Port at which it does; 0: it does not.
    port: int = 0
    #: Bearer token that Prometheus must send; empty: none.
    token: str = ""
