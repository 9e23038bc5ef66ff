"""One endpoint: who answers, the rollout in progress with its guards, traffic by variant, servers, and a form to try it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from treadle.app.ui import links
from treadle.app.ui.charts.lines import Line, Lines, Mark, Point
from treadle.app.ui.page import Page, Seen
from treadle.app.ui.pages.endpoints import answers
from treadle.app.ui.parts import action, ago, empty, figure, mark, pager, span
from treadle.core.records import Revision
from treadle.core.rollout import Change, GuardVerdict, RolloutState
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, note, section, table
from treadle.loop import live
from treadle.loop.lately import LATELY
from treadle.loop.rolling import Standing

#: Revisions and rollouts that are shown at once.
MOST = 20
_KINDS = {"fine": "good", "waiting": "", "bad": "alert"}
_ORDER = ("own", "frozen", "baseline", "other")


def make(seen: Seen) -> Markup:
    """Return one endpoint.

    Raises:
        NotFound: there is no such endpoint.
    """
    name, workspace = seen.path["endpoint"], seen.workspace
    revision = workspace.endpoints.get(name)
    found = workspace.rollouts.page(name, after=seen.query.get("after", ""), limit=MOST)
    moving = next((one for one in workspace.rollouts.list(name, open_only=True)), None)
    return joined(
        [
            facts(_tiles(seen, revision, moving), class_="tiles small"),
            _moving(seen, moving) if moving else Markup(""),
            _traffic(seen, revision),
            _try(revision),
            _servers(seen, name),
            _past(seen, found.rows, found.after),
            _revisions(seen, name),
        ]
    )


def _tiles(seen: Seen, one: Revision, moving: RolloutState | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = [
        ("answers", answers(one)),
        ("revision", str(one.revision)),
        ("since", ago(one.created_at, seen.now)),
    ]
    if one.holdout:
        found.append(("stays with the first variant", words.share(one.holdout)))
    if moving is not None:
        found.append(("rollout", element("a", moving.status, href="#rollout")))
    return found


def _moving(seen: Seen, state: RolloutState) -> Markup:
    now = seen.workspace.rolling.standing(state)
    challenger = links.version(state.challenger.model, state.challenger.version)
    lead = element(
        "p",
        "Version ",
        challenger,
        f" takes the place of {state.primary.model}/{state.primary.version}: {state.told()}.",
        class_="lead",
    )
    loud = None
    if not state.guards:
        text = "No guard watches this rollout: nothing will roll it back."
        loud = element("p", text, class_="notice alert", role="alert")
    due = element("p", f"Next: {now.due or 'nothing yet'}: {now.reason}", class_="fine")
    return section(
        "rollout",
        "Rollout in progress",
        lead,
        loud,
        _steps(seen, state),
        _guards(now),
        due,
        _acts(seen, state),
    )


def _steps(seen: Seen, state: RolloutState) -> Markup:
    items = []
    for place, stage in enumerate(state.stages):
        is_now = place == state.stage
        told = f"{stage.told()}, at least {span(timedelta(seconds=stage.bake))} and {words.plural(stage.requests, 'request')}"
        since = [", for ", ago(state.since, seen.now)] if is_now else []
        items.append(
            element(
                "li", told, *since, aria_current="step" if is_now else None, class_="now" if is_now else None
            )
        )
    return element("ol", *items, class_="steps")


def _guards(now: Standing) -> Markup:
    if not now.verdicts:
        return Markup("")
    return table(
        ["guard", "says", "why", "of", "challenger", "first variant"],
        [_guard(one) for one in now.verdicts],
        label="Guards",
        numeric=(3, 4, 5),
        wide=True,
    )


def _guard(one: GuardVerdict) -> list[str]:
    values = [("–" if value is None else words.number(value)) for value in (one.challenger, one.primary)]
    return [
        one.guard,
        mark(one.status, _KINDS[one.status]),
        words.shown(one.reason, longest=400),
        words.count(one.n),
        *values,
    ]


def _acts(seen: Seen, state: RolloutState) -> Markup:
    given = {"name": state.id}
    who = f"{state.challenger.model}/{state.challenger.version}"
    ways = [("rolling.promote", "Promote now", f"Version {who} answers everybody at once.", "")]
    if state.status == "paused":
        ways.append(("rolling.resume", "Resume", "Its step begins anew.", ""))
    else:
        ways.append(("rolling.pause", "Pause", "It stays at its step; guards still roll it back.", ""))
    ways.append(("rolling.roll_back", "Roll back", "Everybody is answered as before the rollout.", "alert"))
    forms = [
        action(seen, name, given, label=label, about=about, kind=kind) for name, label, about, kind in ways
    ]
    return element("div", *forms, class_="actions")


def _traffic(seen: Seen, revision: Revision) -> Markup:
    name = revision.endpoint
    stamp = f"{seen.workspace.tables.version(f'predictions/{name}')} {seen.now:%Y-%m-%d %H}"
    since = (seen.now - LATELY).replace(hour=0, minute=0, second=0, microsecond=0)
    found = seen.kept.get(("traffic", name), lambda: _counted(seen, name, since), stamp=stamp)
    if found is None:
        return section("traffic", "Traffic by variant", note("is being counted …"))
    if found.is_empty():
        nothing = empty(
            f"Nobody has asked {name} in the last {LATELY.days} days.",
            command="treadle serve",
            then="The form below shows how to ask it.",
        )
        return section("traffic", "Traffic by variant", nothing)
    changes = [one for one in seen.workspace.endpoints.revisions(name) if one.created_at >= since]
    chart = Lines(
        name="traffic",
        title=f"Answers by day and version, last {LATELY.days} days",
        lines=_lines(found, since, seen.now),
        up="answers",
        marks=[Mark(x=one.created_at.timestamp(), said=f"revision: {one.revision}") for one in changes[-40:]],
        from_zero=True,
    )
    return section("traffic", "Traffic by variant", figure(seen, chart))


def _counted(seen: Seen, name: str, since: datetime) -> pl.DataFrame:
    rows = seen.workspace.predictions.scan(name).filter(pl.col("at") >= since)
    return live.counts(rows, every="1d", by=["variant"]).sort("start")


def _lines(found: pl.DataFrame, since: datetime, until: datetime) -> list[Line]:
    days = [since + timedelta(days=i) for i in range((until - since).days + 1)]
    lines = []
    for place, ((variant, version), rows) in enumerate(
        found.group_by("variant", "version", maintain_order=True)
    ):
        by = {at.astimezone(UTC): asked for at, asked in rows.select("start", "asked").rows()}
        points = [Point(x=at.timestamp(), y=float(by.get(at, 0))) for at in days]
        lines.append(Line(name=f"{variant}: version {version}", points=points, kind=_ORDER[min(place, 3)]))
    return lines


def _try(revision: Revision) -> Markup:
    host = "localhost:8080"
    command = f"curl {host}/v1/endpoints/{revision.endpoint}/predict -d '{{\"rows\": [{{…}}]}}'"
    return section(
        "try",
        "Try it",
        note(
            "A running server (treadle serve, treadle up) has a form for each endpoint, with its columns and their types: ",
            element("a", f"{host}/docs", href=f"http://{host}/docs", rel="noreferrer"),
        ),
        element("pre", element("code", f"$ {command}"), class_="scroll", tabindex="0"),
    )


def _servers(seen: Seen, name: str) -> Markup:
    states = seen.workspace.endpoints.states(name)
    if not states:
        return section("servers", "Servers", note("No server is running now. Start one with: treadle serve"))
    rows = [
        [
            element("code", words.shown(one.server)),
            str(one.revision),
            mark(f"refused {one.refused}: {words.shown(one.error, longest=200)}", "alert")
            if one.refused
            else Markup("–"),
            ago(one.at, seen.now),
        ]
        for one in states
    ]
    return section(
        "servers",
        "Servers",
        table(["server", "revision", "problem", "heard of"], rows, label="Servers", wide=True),
    )


def _past(seen: Seen, rollouts: tuple[RolloutState, ...] | list[RolloutState], after: str | None) -> Markup:
    ended = [one for one in rollouts if not one.open]
    if not ended and not seen.query.get("after"):
        return Markup("")
    rows = [
        [
            ago(one.started_at, seen.now),
            links.version(one.challenger.model, one.challenger.version),
            mark(one.status, "good" if one.status == "promoted" else "alert"),
            words.shown(one.history[-1].reason, longest=300),
            element(
                "details",
                element("summary", words.plural(len(one.history), "change")),
                _history(seen, one.history),
            ),
        ]
        for one in ended
    ]
    ways = pager(
        shown=words.plural(len(ended), "rollout"),
        newer=seen.link(after=None) if seen.query.get("after") else None,
        older=seen.link(after=after) if after else None,
    )
    heads = ["began", "version", "came to", "why", "what happened"]
    return section(
        "rollouts",
        "Earlier rollouts",
        table(heads, rows, label="Earlier rollouts", class_="reasons", wide=True),
        ways,
    )


def _history(seen: Seen, changes: tuple[Change, ...]) -> Markup:
    items = [
        element(
            "li",
            ago(one.at, seen.now),
            f" {one.what} by ",
            element("bdi", words.shown(one.actor)),
            f": {words.shown(one.reason, longest=300)}",
        )
        for one in changes
    ]
    return element("ol", *items, class_="moves")


def _revisions(seen: Seen, name: str) -> Markup:
    found = seen.workspace.endpoints.revisions(name)[::-1][:MOST]
    rows = [
        [
            str(one.revision),
            ago(one.created_at, seen.now),
            answers(one),
            links.run(one.actor, shown="a run")
            if one.actor.startswith("run_")
            else element("bdi", words.shown(one.actor)),
            words.shown(one.reason, longest=400),
        ]
        for one in found
    ]
    return section(
        "revisions",
        "Revisions, newest first",
        table(
            ["revision", "since", "who answers", "who", "why"],
            rows,
            label="Revisions",
            class_="reasons revisions",
            wide=True,
        ),
    )


PAGE = Page(
    path="/endpoints/{endpoint}", title="{endpoint}", kicker="Endpoint", under="/endpoints", make=make
)
