"""Audit: every change, with who made it, when and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import acted, ago, as_csv, empty, filters, pager
from treadle.core.errors import InvalidInput
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import table
from treadle.loop.audit import KINDS
from treadle.loop.changes import Entry

#: Changes on one page, and in a CSV file.
MOST, TAKEN = 50, 10_000


@dataclass(frozen=True)
class Taken:
    """The changes that the filters leave, as a file."""

    seen: Seen
    name: str = "audit"

    def rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the newest ten thousand."""
        found = self.seen.workspace.audit(**_asked(self.seen), limit=TAKEN)
        rows = [[e.at.isoformat(), e.kind, e.subject, e.what, e.actor, e.reason] for e in found]
        return ["at", "kind", "subject", "what", "actor", "reason"], rows


def make(seen: Seen) -> Markup:
    """Return one part of the changes, and the way to others.

    Raises:
        InvalidInput: a filter cannot be meant.
    """
    after = seen.query.get("after", "")
    found = seen.workspace.audit_page(**_asked(seen), after=after, limit=MOST)
    fields: list[tuple[str, str, Sequence[str]]] = [
        ("kind", "Kind", KINDS),
        ("subject", "What was changed", ()),
        ("actor", "Who", ()),
        ("since", "Since (day, UTC)", ()),
        ("until", "Before (day, UTC)", ()),
    ]
    head = filters(seen, fields)
    if not found.rows:
        nothing = "Nothing was changed yet." if not seen.query else "No change is like that."
        return joined([head, empty(nothing, command="treadle audit")])
    heads = ["when", "kind", "what was changed", "what was done", "who", "why"]
    listed = table(heads, [_row(seen, e) for e in found.rows], label="Changes", class_="audit", wide=True)
    ways = pager(
        shown=f"{len(found.rows)} changes",
        newer=seen.link(after=None) if after else None,
        older=seen.link(after=found.after) if found.after else None,
    )
    return joined([head, listed, ways, as_csv(seen, Taken(seen), title="These changes")])


def _row(seen: Seen, one: Entry) -> list[str]:
    href = _link(one.subject)
    subject = element("bdi", words.shown(one.subject))
    return [
        ago(one.at, seen.now),
        one.kind,
        element("a", subject, href=href, data_row="") if href else subject,
        words.shown(one.what, longest=160),
        acted(one.actor),
        words.shown(one.reason, longest=400) if one.reason else "–",
    ]


def _link(subject: str) -> str:
    """Return the page of what was changed; empty: there is none.

    >>> _link("delay@champion"), _link("delay/3"), _link("dataset:rows/12"), _link("endpoint:delay")
    ('/models/delay', '/models/delay/3', '/data/rows', '/endpoints/delay')
    """
    kind, _, rest = subject.partition(":")
    if rest and kind in {"endpoint", "model", "dataset"}:
        room = {"endpoint": "endpoints", "model": "models", "dataset": "data"}[kind]
        return address(room, rest.split("/")[0])
    if rest:
        return ""
    if "@" in subject:
        return address("models", subject.split("@")[0])
    name, _, number = subject.partition("/")
    return address("models", name, number) if number.isdecimal() else ""


def _asked(seen: Seen) -> dict[str, Any]:
    found: dict[str, Any] = {name: seen.query.get(name, "") for name in ("kind", "subject", "actor")}
    return found | {name: _day(seen.query.get(name, ""), name) for name in ("since", "until")}


def _day(text: str, name: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is no day. Expected one as 2025-03-01."
        raise InvalidInput(msg, field=name) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


PAGE = Page(path="/audit", title="Audit", nav="Audit", order=100, key="a", make=make)
