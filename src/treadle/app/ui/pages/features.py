"""Feature views: what they give, who uses them, how fresh they are online, and where what was served differs from the join."""

from __future__ import annotations

from treadle.app.ui import links
from treadle.app.ui.page import Page, Seen
from treadle.app.ui.parts import ago, empty, filters, mark
from treadle.core.clock import parse_span
from treadle.core.errors import NotFound, TreadleError
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, note, section, table
from treadle.features.materialisations import ViewFreshness
from treadle.features.skew import ColumnSkew
from treadle.features.views import FeatureView
from treadle.loop.served import AT

#: How far back predictions are compared, unless somebody asks for more.
_SINCE = ("1h", "1d", "7d", "30d")


def make(seen: Seen) -> Markup:
    """Return the views with how fresh they are, and the way to what was served."""
    views = seen.workspace.project.views
    if not views:
        return empty(
            "No feature view is declared.",
            then="Declare one in project.py, as td.FeatureView(…): values of an entity that change with time, joined as they stood.",
        )
    fresh, problem = _freshness(seen)
    rows = [
        (
            links.view(name),
            ", ".join(view.entities),
            words.count(len(view.output_names)),
            view.ttl or "no limit",
            _newest(seen, name),
            *_online(seen, fresh.get(name)),
            joined(_users(seen, name)) or "no model",
        )
        for name, view in views.items()
    ]
    headings = ["view", "entity", "features", "used for", "newest row", "online", "entities", "models"]
    listed = table(headings, rows, label="Feature views", numeric=[2, 6], wide=True, class_="rows")
    return joined([_problem(problem), listed, section("skew", "Served and joined", _skew(seen))])


def make_one(seen: Seen) -> Markup:
    """Return one view."""
    view: FeatureView = seen.workspace.project.view(seen.path["view"])
    fresh, problem = _freshness(seen)
    told = [
        ("entity", ", ".join(view.entities)),
        ("time", view.time),
        ("arrived", view.arrived or "at once"),
        ("used for", view.ttl or "no limit"),
        ("rows", _rows(seen, view.name)),
        ("newest row", _newest(seen, view.name)),
        ("models", joined(_users(seen, view.name)) or "none"),
    ]
    own = fresh.get(view.name)
    if own is not None and own.version is not None:
        told += [
            ("online", ago(own.newest, seen.now, missing="no value")),
            ("entities online", words.count(own.entities)),
            ("behind", words.plural(own.behind, "version") if own.behind else "nothing"),
        ]
    features = [(element("code", new), f"column {old}") for old, new in view.outputs.items()]
    features += [(element("code", name), _aggregate(made)) for name, made in view.aggregates.items()]
    materialise = note(
        "Bring what is new into the online store: ",
        element("code", f"treadle features materialise {view.name}"),
    )
    return joined(
        [
            _problem(problem or (own.problem if own else "")),
            facts(told),
            section(
                "features",
                "What it gives",
                table(["feature", "made of"], features, label="Features"),
                materialise,
            ),
        ]
    )


def _aggregate(made: object) -> str:
    said = getattr(made, "spec", None)
    values = said() if callable(said) else {}
    return words.shown(", ".join(f"{name} {value}" for name, value in values.items() if value), longest=200)


def _freshness(seen: Seen) -> tuple[dict[str, ViewFreshness], str]:
    try:
        return {one.view: one for one in seen.workspace.online.freshness()}, ""
    except TreadleError as error:  # the online store cannot even be opened
        return {}, str(error)


def _problem(said: str) -> Markup:
    return (
        element("p", words.shown(said, longest=500), class_="notice alert")
        if said
        else element("p", class_="fine")
    )


def _online(seen: Seen, found: ViewFreshness | None) -> tuple[Markup | str, str]:
    if found is None or found.version is None:
        return "not online", "–"
    state = ago(found.newest, seen.now, missing="no value")
    behind = mark(f"{words.plural(found.behind, 'version')} behind", "warning") if found.behind else ""
    return joined([state, " ", behind]), words.count(found.entities)


def _newest(seen: Seen, name: str) -> Markup:
    try:
        return ago(seen.workspace.datasets.version(name).time_max, seen.now, missing="no rows")
    except NotFound:
        return element("span", "nothing landed", class_="fine")


def _rows(seen: Seen, name: str) -> Markup | str:
    try:
        last = seen.workspace.datasets.version(name)
    except NotFound:
        return "none yet"
    return joined(
        [
            words.count(last.rows),
            ", ",
            links.dataset_version(name, last.version, shown=f"version {last.version}"),
        ]
    )


def _users(seen: Seen, name: str) -> list[Markup]:
    models = seen.workspace.project.models.values()
    used = [links.model(one.name) for one in models if any(view.name == name for view in one.features)]
    return [part for one in used for part in (one, element("span", " "))]


def _skew(seen: Seen) -> Markup:
    """Return where features that were served differ from the join, for the endpoint that the address names."""
    endpoints = [
        name
        for name in seen.workspace.endpoints.names()
        if name in seen.workspace.project.models and seen.workspace.project.model(name).features
    ]
    explained = note(
        "Features that callers sent, or that were read online, beside what the join gives for the same entity and moment: "
        "that of asking, or the column of the row by which callers join, as its departure."
    )
    if not endpoints:
        return joined(
            [explained, element("p", "No endpoint answers with features of a view yet.", class_="fine")]
        )
    asked = filters(
        seen,
        [
            ("endpoint", "Endpoint", endpoints),
            ("since", "Predictions of the last", _SINCE),
            ("time", "As of (a column)", ()),
        ],
    )
    endpoint = seen.query.get("endpoint", "")
    if endpoint not in endpoints:
        return joined([explained, asked])
    since, time = seen.query.get("since") or "1d", seen.query.get("time", "").strip()
    try:
        found = seen.workspace.skew(endpoint, since=seen.now - parse_span(since), time=time or AT)
    except TreadleError as error:
        return joined([explained, asked, element("p", str(error), class_="notice alert")])
    return joined([explained, asked, _compared(found, since)])


def _plain(value: object) -> str:
    return words.number(value) if isinstance(value, float) else words.shown(str(value))


def _compared(found: list[ColumnSkew], since: str) -> Markup:
    if not found or not found[0].rows:
        return element("p", f"No prediction of the last {since} has features to compare.", class_="fine")
    rows = [
        (
            element("code", element("bdi", words.shown(one.column))),
            words.count(one.rows),
            mark(words.share(one.share), "alert" if one.share > 0.01 else "warning")
            if one.differing
            else mark("same", "good"),
            words.count(one.not_served),
            words.count(one.only_served),
            "; ".join(
                f"{_plain(each.served)} served, {_plain(each.offline)} joined" for each in one.examples[:2]
            ),
        )
        for one in found
    ]
    headings = ["feature", "rows", "differ", "not served", "only served", "as"]
    return table(headings, rows, label="Served and joined features", numeric=[1, 2, 3, 4], wide=True)


PAGES = (
    Page(path="/features", title="Features", nav="Features", order=40, key="f", make=make),
    Page(path="/features/{view}", title="{view}", under="/features", kicker="Feature view", make=make_one),
)
