"""Overview: every model at a glance – is it fresh, is it good, who waits for a person, and what comes next."""

from __future__ import annotations

from datetime import datetime

from treadle.app.ui import liveness
from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import ago, day, empty, filters, mark, meter, pager, span
from treadle.app.ui.survey import Survey, Surveyed, survey
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts
from treadle.loop.promises import Standing

#: Models on one page.
MOST = 40
_STATES = {
    "fresh": ("fresh", "good"),
    "due": ("due now", "warning"),
    "stale": ("stale", "alert"),
    "waits": ("waits for approval", "warning"),
    "failed": ("last run failed", "alert"),
    "none": ("no version yet", "warning"),
}


def make(seen: Seen) -> Markup:
    """Return what needs a person, and every model."""
    if not seen.workspace.project.models:
        return empty(
            "No model is declared in this project yet.",
            command="treadle init --data rows.csv --target column",
            then="It looks at the file and writes project.py. Then: treadle run",
        )
    found = survey(seen)
    if found is None:
        return element("p", "The models are being looked at; they appear here in a moment.", class_="lead")
    chosen = _chosen(seen, found)
    shown, following = _part(seen, chosen)
    names = [one.name for one in chosen]
    back = max(names.index(shown[0].name) - MOST, 0) if shown else 0
    is_first = not shown or shown[0].name == names[0]
    return joined(
        [
            facts(_tiles(found), class_="tiles"),
            _first(found),
            filters(seen, [("name", "Name", ()), ("state", "State", tuple(_STATES))])
            if len(found.models) > 5
            else Markup(""),
            element("div", *(_model(seen, found, one) for one in shown), class_="models")
            if shown
            else element("p", "No model is like that."),
            Markup("")
            if len(chosen) <= MOST
            else pager(
                shown=f"{len(shown)} of {words.plural(len(chosen), 'model')}",
                newer=None if is_first else seen.link(**{"from": names[back]}),
                older=seen.link(**{"from": following}) if following else None,
            ),
        ]
    )


def _chosen(seen: Seen, found: Survey) -> list[Surveyed]:
    name, state = seen.query.get("name", ""), seen.query.get("state", "")
    return sorted(
        (one for one in found.models if name in one.name and state in {"", one.state}), key=lambda m: m.name
    )


def _part(seen: Seen, chosen: list[Surveyed]) -> tuple[list[Surveyed], str]:
    start = seen.query.get("from", "")
    rest = [one for one in chosen if one.name >= start]
    return rest[:MOST], rest[MOST].name if len(rest) > MOST else ""


def _tiles(found: Survey) -> list[tuple[str, str]]:
    states = [one.state for one in found.models]
    good = sum(state in {"fresh", "due"} for state in states)
    waits = sum(state == "waits" for state in states)
    spent = sum(one.state == "spent" for one in found.promises)
    tiles = [
        ("models fresh", f"{good} of {len(states)}"),
        ("waiting for approval", str(waits)),
        ("open alerts", str(len(found.alerts))),
        ("rollouts on their way", str(len(found.rollouts))),
    ]
    if found.promises:
        tiles.append(("promises kept", f"{len(found.promises) - spent} of {len(found.promises)}"))
    return tiles


def _first(found: Survey) -> Markup:
    """Return what needs a person, as sentences that lead to where it can be done."""
    said: list[tuple[str, str, str]] = []
    for one in found.models:
        if one.waiting is not None:
            text = f"{one.name}: version {one.waiting.version} passed its gates and waits for your approval"
            said.append(("warning", text, address("models", one.name)))
        elif one.state == "failed" and one.last_run is not None:
            text = f"{one.name}: the last run failed: {one.last_run.error}"
            said.append(("alert", text, address("runs", one.last_run.id)))
        said += [("warning", f"{one.name}: {text}", address("models", one.name)) for text in one.stale]
    said += [
        ("alert" if alert.severity == "page" else "warning", f"{alert.subject}: {alert.text}", "/monitor")
        for alert in found.alerts
        if alert.acknowledged is None
        and alert.rule not in {"approval", "failed-run", "stale-model", "stale-data"}
    ]
    if not said:
        return Markup("")
    items = [
        element("li", element("a", words.shown(text, longest=240), href=href), class_=kind)
        for kind, text, href in said[:8]
    ]
    if len(said) > 8:
        items.append(element("li", f"and {len(said) - 8} more"))
    return element(
        "section",
        element("h2", "Look at this first"),
        element("ul", *items, class_="findings mixed"),
        id="first",
    )


def _model(seen: Seen, found: Survey, one: Surveyed) -> Markup:
    text, kind = _STATES[one.state]
    name = element("a", element("bdi", words.shown(one.name)), href=address("models", one.name))
    return element(
        "article",
        element("div", element("h2", name), mark(text, kind), _champion(seen, one), class_="who-is"),
        _live(seen, one),
        _budget(found, one),
        _next(seen, one),
        class_="box-card model",
        id=f"model-{one.name}",
        data_row="",
    )


def _champion(seen: Seen, one: Surveyed) -> Markup:
    if one.champion is None or one.since is None:
        return element("p", "No version was released yet.", class_="fine")
    since = element("p", f"version {one.champion.version}, champion for ", _for(one.since.at, seen))
    until = element("p", "learnt from rows until ", day(one.champion.window.end), class_="fine")
    why = element("a", "why it replaced the one before", href=address("models", one.name) + "#champions")
    return element("div", since, until, element("p", why, class_="fine") if one.since.previous else None)


def _for(at: datetime, seen: Seen) -> Markup:
    return element(
        "time", span(seen.now - at), datetime=at.isoformat(), title=f"since {at:%Y-%m-%d %H:%M:%S} UTC"
    )


def _live(seen: Seen, one: Surveyed) -> Markup:
    heads = element("h3", "Live, last 4 weeks"), element("h3", "Answers by day")
    if not one.endpoints:
        nothing = element("p", "It answers at no endpoint.", class_="fine")
        return joined([element("div", heads[0], nothing), element("div", heads[1], nothing)])
    own = liveness.recent(seen, one.endpoints[0].endpoint)
    if own is None:
        measuring = element("p", "is being measured …", class_="fine")
        return joined([element("div", heads[0], measuring), element("div", heads[1], measuring)])
    frozen = _frozen(one)
    still = liveness.recent(seen, frozen) if frozen else None
    metric = []
    if own.whole is not None and own.whole.value is not None:
        low, high = own.whole.low, own.whole.high
        reach = f" ({words.number(low)} to {words.number(high)})" if low is not None else ""
        metric = [
            element("p", element("b", f"{own.metric} {words.number(own.whole.value)}"), reach),
            liveness.whisker(own, still.whole if still else None),
        ]
    beside = ""
    if still is not None and still.whole is not None and still.whole.value is not None:
        beside = f"; at {still.endpoint}, kept as it was: {words.number(still.whole.value)}"
    elif frozen and still is None:
        beside = f"; {frozen}, kept as it was, is being measured …"
    known = own.whole.n if own.whole else 0
    note = f"{liveness.told(own)}{beside}; {words.count(known)} of {words.count(own.asked)} outcomes known"
    days = max((seen.now - own.since).days, 1) if own.since else 1
    return joined(
        [
            element("div", heads[0], *metric, element("p", note, class_="fine")),
            element(
                "div",
                heads[1],
                liveness.traffic(own, seen.now),
                element("p", f"{words.count(own.asked / days)} a day", class_="fine"),
            ),
        ]
    )


def _frozen(one: Surveyed) -> str:
    """Return an endpoint that answers with an older version of the model alone; empty: there is none."""
    champion = one.champion.version if one.champion else 0
    for revision in one.endpoints[1:]:
        if len(revision.variants) == 1 and revision.variants[0].version < champion:
            return revision.endpoint
    return ""


def _budget(found: Survey, one: Surveyed) -> Markup:
    subjects = {f"model:{one.name}", *(f"endpoint:{revision.endpoint}" for revision in one.endpoints)}
    mine = [promise for promise in found.promises if promise.subject in subjects]
    inside = [_promise(promise) for promise in mine[:3]]
    if not mine:
        inside = [element("p", "No SLO is declared.", class_="fine")]
    return element("div", element("h3", "Error budget"), *inside)


def _promise(promise: Standing) -> Markup:
    left = promise.budget_left
    if left is None:
        return element("p", f"{promise.said}: not measured yet", class_="fine")
    kind = "alert" if left <= 0 else "warning" if promise.state == "burning" else "good"
    text = f"{words.share(max(left, 0.0))} left of {promise.period}: {promise.said}"
    label = f"{promise.slo}: {words.share(max(left, 0.0))} of the error budget is left"
    return element("div", meter(left, label=label, kind=kind), element("p", text, class_="fine"))


def _next(seen: Seen, one: Surveyed) -> Markup:
    coming = one.outlook
    if one.waiting is not None:
        first = element("p", f"waits until a person decides about version {one.waiting.version}")
    elif one.decision.due:
        first = element("p", element("b", "trains at the next look"), f": {one.decision.reason}")
    elif coming.at is not None:
        guess = "about " if coming.is_guess else ""
        first = element("p", element("b", "trains ", guess, ago(coming.at, seen.now)), f", by {coming.by}")
    else:
        first = element("p", "trains when somebody asks")
    details = [element("li", detail) for detail in one.decision.details]
    return element(
        "div",
        element("h3", "What the policy does next"),
        first,
        element("ul", *details, class_="fine details") if details else None,
        element("p", f"Then {coming.then}.", class_="fine"),
    )


PAGE = Page(path="/", title="Overview", nav="Overview", order=0, key="o", make=make)
