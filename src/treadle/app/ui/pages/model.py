"""Model: its live metric, who answered when and why the one before was replaced, its versions, and what the policy says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from treadle.app.ui import liveness
from treadle.app.ui.charts.spans import Bar, Span, Spans
from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import acted, action, ago, day, empty, figure, mark, pager
from treadle.core.errors import NotFound
from treadle.core.records import Alias, ModelVersion
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, folded, note, section, table
from treadle.loop.approvals import Approval
from treadle.loop.models import Model

#: Champions whose stretches are drawn, champions whose reasons are told, and versions, on one page.
BARS = 12
MOST, VERSIONS = 8, 20


def make(seen: Seen) -> Markup:
    """Return all of one model.

    Raises:
        NotFound: there is no such model.
    """
    workspace, name = seen.workspace, seen.path["model"]
    declared = workspace.project.models.get(name)
    if declared is None and name not in workspace.models.names():
        workspace.project.model(name)  # raises, with the names that there are
    moves = workspace.models.history(name, "champion")
    if not moves and name not in workspace.models.names():
        return _nothing(seen, name)
    parts = [
        _tiles(seen, name, moves),
        _waiting(seen, declared),
        _actions(seen, name, declared, moves),
        _live(seen, name, moves),
        _served(seen, name, moves),
        _champions(seen, name, moves),
        _versions(seen, name),
        _policy(seen, declared),
    ]
    return joined(part for part in parts if part is not None)


def _nothing(seen: Seen, name: str) -> Markup:
    said = empty(f"No version of {name} was made yet.", command=f"treadle run {name}")
    declared = seen.workspace.project.model(name)
    return joined([said, _policy(seen, declared) or Markup("")])


def _tiles(seen: Seen, name: str, moves: Sequence[Alias]) -> Markup:
    workspace = seen.workspace
    aliases = workspace.models.aliases(name)
    if not moves:
        return facts([("champion", "none yet")], class_="tiles")
    champion = workspace.models.get(f"{name}/{aliases['champion']}")
    tiles: list[tuple[str, str]] = [
        ("champion", element("a", f"version {champion.version}", href=_version(champion))),
        ("became it", ago(moves[-1].at, seen.now)),
        ("learnt from rows until", day(champion.window.end)),
    ]
    tiles += [(alias, f"version {number}") for alias, number in aliases.items() if alias != "champion"]
    return facts(tiles, class_="tiles")


def _version(version: ModelVersion) -> str:
    return address("models", version.model, str(version.version))


def _waiting(seen: Seen, model: Model | None) -> Markup | None:
    """Return the version that waits for a person, with the grounds and both answers."""
    if model is None:
        return None
    found = next(iter(seen.workspace.approvals.list(model.name, state="waiting")), None)
    if found is None:
        return None
    hindrance = seen.workspace.approvals.hindrance(model, found)
    return section(
        "approval",
        f"Version {found.version} waits for your approval",
        element("p", found.reason),
        element("ul", element("li", hindrance), class_="findings alert") if hindrance else None,
        element(
            "p",
            "It waits since ",
            ago(found.asked_at, seen.now),
            f". Approved, it gets the action {found.action}.",
        ),
        _answers(seen, found, may=not hindrance),
    )


def _answers(seen: Seen, found: Approval, *, may: bool) -> Markup:
    given = {"version": f"{found.model}/{found.version}"}
    look = element(
        "a", "Look at it", href=address("models", found.model, str(found.version)), class_="button"
    )
    beside = None
    if found.champion is not None:
        pair = (
            address("compare")
            + f"?version={found.model}/{found.champion}&version={found.model}/{found.version}"
        )
        beside = element("a", f"Compare with version {found.champion}", href=pair)
    approve = action(seen, "approve", given, label="Approve") if may else None
    return element(
        "div",
        look,
        approve,
        action(seen, "reject", given, label="Reject", kind="alert"),
        beside,
        class_="actions",
    )


def _actions(seen: Seen, name: str, model: Model | None, moves: Sequence[Alias]) -> Markup:
    forms = []
    if model is not None:
        about = "The next look of a watcher trains it, whether or not anything is new."
        forms.append(action(seen, "request", {"model": name}, label="Ask for a training", about=about))
    before = moves[-1].previous if moves else None
    if before is not None:
        about = f"Version {before} becomes the champion again, and the endpoint {name} answers with it."
        given = {"version": f"{name}/{before}"}
        forms.append(
            action(seen, "promote", given, label=f"Roll back to version {before}", about=about, kind="alert")
        )
    return element("div", *forms, class_="actions")


def _live(seen: Seen, name: str, moves: Sequence[Alias]) -> Markup | None:
    workspace = seen.workspace
    current = workspace.endpoints.current()
    if name not in current:
        return None
    found = liveness.lately(seen, name, since=None, every="1w")
    if found is None:
        return section("live-metric", "How good its answers were", element("p", "It is being measured …"))
    if found.whole is None or found.whole.value is None:
        said = f"{words.plural(found.asked, 'answer')} so far, and no outcome of them is known yet."
        return section("live-metric", "How good its answers were", element("p", said))
    champion = moves[-1].version if moves else 0
    frozen, still = None, ""
    for endpoint, revision in current.items():
        only = revision.variants[0] if len(revision.variants) == 1 else None
        if endpoint != name and only is not None and only.model == name and only.version < champion:
            still, frozen = endpoint, liveness.lately(seen, endpoint, since=None, every="1w")
            break
    chart = liveness.over_time(found, frozen=frozen, moves=list(moves[1:]))
    waits = (
        note(f"{still}, which stayed at an older version, is being measured …")
        if still and not frozen
        else None
    )
    return section("live-metric", "How good its answers were", figure(seen, chart), waits)


def _served(seen: Seen, name: str, moves: Sequence[Alias]) -> Markup | None:
    """Return who answered when: the newest champions, each with the stretch in which it was one."""
    if not moves:
        return None
    ends = [*(move.at for move in moves[1:]), seen.now]
    spans: dict[int, list[Span]] = {}
    for move, end in list(zip(moves, ends, strict=True))[-BARS:]:
        said = f"version {move.version}: {move.at:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
        kind = "own" if move is moves[-1] else "other"
        span = Span(start=move.at.timestamp(), end=max(end, move.at).timestamp(), said=said, kind=kind)
        spans.setdefault(move.version, []).append(span)
    bars = [
        Bar(name=f"version {number}", spans=found, href=address("models", name, str(number)))
        for number, found in spans.items()
    ]
    title = "Champions, by the time in which they answered"
    return section("served", "Who answered when", figure(seen, Spans(name="served", title=title, bars=bars)))


def _champions(seen: Seen, name: str, moves: Sequence[Alias]) -> Markup | None:
    """Return why each champion replaced the one before it, newest first."""
    if not moves:
        return None
    newest = list(reversed(moves))
    start = _number(seen.query.get("champions", "0"))
    shown = newest[start : start + MOST]
    items = [_move(seen, name, move) for move in shown]
    parts: list[Markup] = [element("ol", *items, class_="moves champions")]
    if len(newest) > MOST:
        back = max(start - MOST, 0)
        parts.append(
            pager(
                shown=f"{start + 1} to {start + len(shown)} of {len(newest)}",
                newer=seen.link(champions=back or None) + "#champions" if start else None,
                older=seen.link(champions=start + MOST) + "#champions"
                if start + MOST < len(newest)
                else None,
            )
        )
    return section("champions", "Why each champion replaced the one before", *parts)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _move(seen: Seen, name: str, move: Alias) -> Markup:
    workspace = seen.workspace
    head = (
        f"Version {move.version} replaced version {move.previous}"
        if move.previous
        else f"Version {move.version} was the first"
    )
    version = workspace.models.get(f"{name}/{move.version}")
    try:
        run = workspace.runs.get(version.run)
        trained = element("p", element("b", "Trained because: "), run.reason, class_="why")
    except NotFound:
        trained = None
    verdicts = workspace.verdicts.list(run=version.run)
    marks = [
        mark(f"{verdict.gate} {verdict.slice}".strip(), "good" if verdict.passed else "alert")
        for verdict in verdicts
    ]
    href = address("models", name, str(move.version))
    return element(
        "li",
        element("h3", element("a", head, href=href)),
        note(ago(move.at, seen.now), f", {move.at:%Y-%m-%d %H:%M} UTC, by ", acted(move.actor)),
        trained,
        element("p", element("b", "Released because: "), words.shown(move.reason, longest=600)),
        element("p", *marks, " ", element("a", "the verdicts", href=f"{href}#verdicts")) if marks else None,
        data_row="",
    )


def _versions(seen: Seen, name: str) -> Markup | None:
    try:
        found = seen.workspace.models.page(name, after=seen.query.get("after", ""), limit=VERSIONS)
    except NotFound:
        return None
    aliases = seen.workspace.models.aliases(name)
    rows = [_row(seen, version, aliases, place) for place, version in enumerate(found.rows)]
    heads = ["version", "made", "learnt from rows until", "on its test rows", "rows it read", "compare"]
    listed = table(heads, rows, label=f"Versions of {name}", numeric=(4,), class_="plain versions", wide=True)
    form = element(
        "form",
        listed,
        element("p", element("button", "Compare the chosen"), class_="actions"),
        method="get",
        action="/compare",
    )
    older = seen.link(after=found.after) + "#versions" if found.after else None
    newer = seen.link(after=None) + "#versions" if seen.query.get("after") else None
    ways = pager(shown=f"{len(rows)} versions", newer=newer, older=older) if older or newer else None
    return section("versions", "Versions", form, ways)


def _row(seen: Seen, version: ModelVersion, aliases: dict[str, int], place: int) -> list[str]:
    workspace = seen.workspace
    try:
        run = workspace.runs.get(version.run)
    except NotFound:
        run = None
    marks = [
        mark(alias, "good" if alias == "champion" else "")
        for alias, n in aliases.items()
        if n == version.version
    ]
    if run is not None and run.status == "rejected":
        marks.append(mark("turned down", "alert"))
    if version.collected_at is not None:
        marks.append(mark("collected"))
    name = element("a", f"{version.version}", href=_version(version), data_row="")
    deciding = deciding_of(seen, version.model)
    value = run.metrics.get(f"test.candidate.{deciding}") if run is not None else None
    reference = f"{version.model}/{version.version}"
    box = element(
        "input",
        type="checkbox",
        name="version",
        value=reference,
        checked=place < 2,
        aria_label=f"Compare version {version.version}",
    )
    told = f"{deciding} {words.number(value)}" if value is not None else "–"
    read = f"{version.dataset} v{version.dataset_version}"
    return [
        joined([name, " ", *marks]),
        ago(version.created_at, seen.now),
        day(version.window.end),
        told,
        read,
        box,
    ]


def deciding_of(seen: Seen, name: str) -> str:
    """Return the metric that decides about a model; empty: it is no longer declared."""
    declared = seen.workspace.project.models.get(name)
    return declared.task.metric if declared is not None else ""


def _policy(seen: Seen, model: Model | None) -> Markup | None:
    """Return why the model is due or not, now and at the last decisions."""
    if model is None:
        return section("policy", "Policy", element("p", "The project no longer declares this model."))
    workspace = seen.workspace
    said = workspace.decisions.decide(model)
    text = f"{'Due' if said.due else 'Not due'}: {said.reason}"
    sentences = element("ul", *(element("li", detail) for detail in said.details))
    coming = workspace.outlook(model.name)
    when = None
    if coming.at is not None:
        guess = ", if rows come as they did" if coming.is_guess else ""
        when = element(
            "p", "Next: ", ago(coming.at, seen.now), f", by {coming.by}{guess}. Then {coming.then}."
        )
    kept = workspace.decisions.list(model.name, limit=10)
    rows = [
        [
            element("a", f"{one.at:%Y-%m-%d %H:%M}", href=_why(model.name, one.at)),
            mark("due", "good") if one.due else mark("not due"),
            words.shown(one.reason, longest=200),
        ]
        for one in kept
    ]
    history = (
        table(["decided (UTC)", "", "why"], rows, label="Decisions", class_="decisions") if rows else None
    )
    return section(
        "policy",
        "What the policy says",
        element("p", text),
        sentences,
        when,
        folded("The last decisions", history) if history else None,
        _rules(model),
    )


def _why(model: str, at: datetime) -> str:
    return address("models", model, "why", at=at.isoformat())


def _rules(model: Model) -> Markup:
    spec = model.policy.spec()
    rows = [
        [element("code", str(name)), element("code", words.shown(str(value), longest=300))]
        for name, value in spec.items()
    ]
    return folded(
        "The policy as it is declared", table(["what", "value"], rows, label="Policy", class_="plain")
    )


PAGE = Page(path="/models/{model}", title="{model}", kicker="Model", under="/", order=1, make=make)
