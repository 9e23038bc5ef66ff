"""What each rule of alerts asks for before somebody is told, and how soon they must look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from treadle.core.clock import parse_span
from treadle.core.errors import InvalidInput, SettingsError
from treadle.core.records import Record
from treadle.core.telling import RuleSettings, Severity

#: Rules whose alerts are not tickets: who answers is at stake, or a person was only asked something.
_SEVERITIES: dict[str, Severity] = {
    "rollout": "page",
    "slo-fast": "page",
    "approval": "info",
    "candidate": "info",
    "test": "info",
}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What one rule asks for; see `core.telling.RuleSettings`."""

    severity: Severity = "ticket"
    count: int = 1
    period: timedelta = timedelta(days=1)
    lasting: timedelta = timedelta(0)
    cooldown: timedelta = timedelta(0)
    group: timedelta = timedelta(0)
    repeat: timedelta | None = None

    @property
    def is_patient(self) -> bool:
        """Whether what is found has to be found again, or for a time, before it is an alert."""
        return self.count > 1 or self.lasting > timedelta(0)


class Rules:
    """The rules of a project: each its own way, and as the settings say it."""

    def __init__(self, given: Mapping[str, RuleSettings] | None = None) -> None:
        """Take the settings `alerts.rules`: pattern → what is asked for.

        Raises:
            SettingsError: a span is none, or a count is below 1.
        """
        self._given = {pattern: _made(pattern, one) for pattern, one in (given or {}).items()}
        self._found: dict[str, Rule] = {}
        #: Whether any rule asks for patience, or is told again.
        self.any_patient = any(rule.is_patient for _, rule in self._given.values())
        self.any_repeated = any(rule.repeat for _, rule in self._given.values())

    def of(self, name: str) -> Rule:
        """Return what the rule of a name asks for."""
        if name not in self._found:
            own: Severity = _SEVERITIES.get(name, "ticket")
            severity, rule = next(
                (one for pattern, one in self._given.items() if fnmatchcase(name, pattern)), (None, Rule())
            )
            self._found[name] = replace(rule, severity=severity or own)
        return self._found[name]


def _made(pattern: str, given: RuleSettings) -> tuple[Severity | None, Rule]:
    where = f"alerts.rules.{pattern}"
    if given.count < 1:
        msg = f"Setting {where}.count = {given.count}. Expected 1 or more: how often it begins to hold before it is an alert."
        raise SettingsError(msg)
    rule = Rule(
        count=given.count,
        period=_span(f"{where}.period", given.period),
        lasting=_span(f"{where}.lasting", given.lasting),
        cooldown=_span(f"{where}.cooldown", given.cooldown),
        group=_span(f"{where}.group", given.group),
        repeat=_span(f"{where}.repeat", given.repeat) if given.repeat else None,
    )
    if given.count > 1 and rule.period <= timedelta(0):
        msg = f"Setting {where}.period = {given.period!r}: nothing happens {given.count} times in no time. Expected as '1d'."
        raise SettingsError(msg)
    if rule.repeat is not None and rule.repeat < timedelta(minutes=1):
        msg = f"Setting {where}.repeat = {given.repeat!r}: expected a minute or more, as '1d'."
        raise SettingsError(msg)
    return given.severity, rule


def _span(key: str, text: str) -> timedelta:
    try:
        return parse_span(text)
    except InvalidInput as error:
        msg = f"Setting {key}: {error}"
        raise SettingsError(msg) from error


class Sighting(Record, frozen=True, kw_only=True):
    """What was found and is not an alert yet."""

    #: Since when it has held without a break; None: it does not hold now.
    since: datetime | None
    #: When it began to hold, each time, within the rule's period.
    begun: tuple[datetime, ...]
    #: What told the last occurrence from the one before.
    event: str = ""


def seen(before: Sighting | None, *, event: str, now: datetime, rule: Rule) -> Sighting:
    """Return what is known after a look that finds a rule to hold; the same as before where nothing changed."""
    if before is None:
        return Sighting(since=now, begun=(now,), event=event)
    if before.since is not None and event == before.event:
        return before
    begun = tuple(at for at in (*before.begun, now) if at > now - rule.period)
    return Sighting(since=before.since or now, begun=begun, event=event)


def is_alert(sighting: Sighting, *, now: datetime, rule: Rule) -> bool:
    """Return whether what was seen is enough to tell somebody."""
    recent = sum(at > now - rule.period for at in sighting.begun)
    lasted = sighting.since is not None and now - sighting.since >= rule.lasting
    return recent >= rule.count and lasted
