"""Endpoints: the names that callers use, what answers behind each, and what is on its way."""

from __future__ import annotations

from treadle.app.ui import links
from treadle.app.ui.page import Page, Seen
from treadle.app.ui.parts import ago, empty, filters, mark, pager
from treadle.core.records import Revision
from treadle.core.rollout import RolloutState
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import table

#: Endpoints on one page.
MOST = 50


def make(seen: Seen) -> Markup:
    """Return every endpoint by name."""
    current = seen.workspace.endpoints.current()
    if not current:
        return empty(
            "No endpoint answers yet: the first version that passes its gates makes one, with the name of its model.",
            command="treadle run",
            then="Then: treadle serve",
        )
    wanted = seen.query.get("name", "")
    names = sorted(name for name in current if wanted in name)
    start = seen.query.get("from", "")
    rest = [name for name in names if name >= start]
    shown, following = rest[:MOST], rest[MOST:]
    moving = {state.endpoint: state for state in seen.workspace.rollouts.list(open_only=True)}
    rows = [_row(seen, current[name], moving.get(name)) for name in shown]
    heads = ["endpoint", "who answers", "rollout", "revision", "since", "who changed it, and why"]
    parts = [filters(seen, [("name", "Name", ())]) if len(current) > MOST or wanted else Markup("")]
    parts.append(
        table(heads, rows, label="Endpoints", wide=True)
        if rows
        else element("p", "No endpoint is like that.")
    )
    if len(names) > MOST:
        before = names[max(names.index(shown[0]) - MOST, 0)] if shown and shown[0] != names[0] else None
        parts.append(
            pager(
                shown=f"{len(shown)} of {words.plural(len(names), 'endpoint')}",
                newer=seen.link(**{"from": before}) if before else None,
                older=seen.link(**{"from": following[0]}) if following else None,
            )
        )
    return joined(parts)


def _row(seen: Seen, one: Revision, moving: RolloutState | None) -> list[str]:
    name = element("span", links.endpoint(one.endpoint), data_row="")
    rollout = Markup("–")
    if moving is not None:
        kind = "warning" if moving.status == "paused" or not moving.guards else "good"
        rollout = mark(moving.told(), kind)
    is_run = one.actor.startswith("run_")
    who = links.run(one.actor, shown="a run") if is_run else element("bdi", words.shown(one.actor))
    return [
        name,
        answers(one),
        rollout,
        str(one.revision),
        ago(one.created_at, seen.now),
        joined([who, element("span", f": {words.shown(one.reason, longest=160)}", class_="fine")]),
    ]


def answers(one: Revision) -> Markup:
    """Return who answers, each with its share."""
    kind = type(one.traffic).__name__.lower()
    parts = [element("span", f"{kind} of ", class_="fine")] if kind != "split" else []
    for place, variant in enumerate(one.variants):
        what = "shadow " if variant.shadow else ""
        share = Markup(f" {what}{words.share(variant.shadow or variant.weight)}")
        one_of = element("span", links.version(variant.model, variant.version), share, class_="share-of")
        parts += [Markup(", ") if place else Markup(""), one_of]
    return element("span", *parts)


PAGE = Page(path="/endpoints", title="Endpoints", nav="Endpoints", order=60, key="e", make=make)
