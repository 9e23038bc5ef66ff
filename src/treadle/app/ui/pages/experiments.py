"""Experiments: what live traffic shows about two variants, in words, with intervals that may be looked at whenever one likes."""

from __future__ import annotations

from treadle.app.ui import links
from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import ago, empty, mark, meter
from treadle.core.errors import TreadleError
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, note, section, table
from treadle.monitoring.findings import Difference, ExperimentResult

_KINDS = {"better": "good", "worse": "alert", "harmful": "alert", "invalid": "alert", "same": ""}
_SMALL = 0.0001


def make(seen: Seen) -> Markup:
    """Return all experiments, each with its verdict."""
    declared = seen.workspace.experiments.list()
    if not declared:
        return empty(
            "No two variants share an endpoint's requests, and no experiment is declared.",
            command="treadle rollouts start delay@challenger --steps 0.5 --reason 'which is better?'",
            then='To say what decides: td.Experiment("name", endpoint="delay", metric="log_loss") in the project\'s file.',
        )
    rows = [_row(seen, one.name, one.endpoint) for one in declared]
    heads = ["experiment", "endpoint", "verdict", "difference", "known", "how long still"]
    return table(heads, rows, label="Experiments", wide=True)


def _row(seen: Seen, name: str, endpoint: str) -> list[str]:
    link = element("a", element("bdi", words.shown(name)), href=address("experiments", name), data_row="")
    try:
        found = _result(seen, name, endpoint)
    except TreadleError as error:
        return [link, links.endpoint(endpoint), words.shown(str(error), longest=200), "–", "–", "–"]
    if found is None:
        return [
            link,
            links.endpoint(endpoint),
            element("span", "is being measured …", class_="fine"),
            "–",
            "–",
            "–",
        ]
    return [
        link,
        links.endpoint(endpoint),
        mark(found.verdict, _KINDS.get(found.verdict, "")),
        found.metric.told(),
        words.count(found.units),
        found.waits() or "–",
    ]


def _result(seen: Seen, name: str, endpoint: str) -> ExperimentResult | None:
    workspace = seen.workspace
    tables = [workspace.tables.version(f"{kind}/{endpoint}") for kind in ("predictions", "outcomes")]
    stamp = f"{tables} {workspace.endpoints.get(endpoint).revision} {seen.now:%Y-%m-%d %H}"
    return seen.kept.get(("experiment", name), lambda: workspace.experiments.result(name), stamp=stamp)


def one(seen: Seen) -> Markup:
    """Return what one experiment has found.

    Raises:
        NotFound: there is no such experiment.
    """
    declared = seen.workspace.experiments.get(seen.path["experiment"])
    found = _result(seen, declared.name, declared.endpoint)
    if found is None:
        return element(
            "p", "The answers are being compared; what they show appears here in a moment.", class_="lead"
        )
    return joined(
        [
            element(
                "p",
                mark(found.verdict, _KINDS.get(found.verdict, "")),
                f" {words.shown(found.reason, longest=600)}",
                class_="lead",
            ),
            facts(_tiles(seen, found), class_="tiles small"),
            _progress(found),
            _differences(found),
            _ratio(found),
            _segments(found),
            _how(found),
        ]
    )


def _tiles(seen: Seen, found: ExperimentResult) -> list[tuple[str, str]]:
    tiles: list[tuple[str, str]] = [
        ("endpoint", links.endpoint(found.endpoint)),
        ("control", found.control),
        ("treatment", found.treatment),
        ("since", ago(found.since, seen.now)),
        ("known so far", words.count(found.units)),
    ]
    if found.needed is not None:
        tiles.append(("needed in all", words.count(found.needed)))
    if found.looks is not None:
        tiles.append(("planned looks made", f"{found.looks[0]} of {found.looks[1]}"))
    return tiles


def _progress(found: ExperimentResult) -> Markup:
    if found.needed is None and not found.waits():
        return Markup("")
    share = found.units / found.needed if found.needed else 0.0
    label = f"{words.share(min(share, 1.0))} of the planned units are known"
    return element("div", meter(share, label=label, kind="good"), note(found.waits() or label))


def _differences(found: ExperimentResult) -> Markup:
    rows = [_difference("decides", found.metric), *(_difference("guard", guard) for guard in found.guards)]
    heads = ["", "metric", found.control, found.treatment, "difference", "surely between", "", "p", "units"]
    listed = table(heads, rows, label="Differences", numeric=(2, 3, 4, 5, 7, 8), wide=True)
    return section("differences", "What differs", listed)


def _difference(what: str, found: Difference) -> list[str]:
    reach = "–"
    if found.low is not None and found.high is not None:
        reach = f"{found.low:+.4g} … {found.high:+.4g}"
    p = "–" if found.p is None else f"< {_SMALL}" if found.p < _SMALL else f"{found.p:.4f}"
    values = ["–" if value is None else words.number(value) for value in (found.control, found.treatment)]
    difference = "–" if found.value is None else f"{found.value:+.4g}"
    units = words.count(found.n_control + found.n_treatment)
    return [what, found.metric, *values, difference, reach, _whisker(found), p, units]


def _whisker(found: Difference) -> Markup:
    """Return the interval of a difference on a line on which nought is marked."""
    if found.value is None or found.low is None or found.high is None:
        return Markup("–")
    most = max(abs(found.low), abs(found.high)) or 1.0

    def at(value: float) -> float:
        return round(50 + 46 * value / most, 2)

    sure = "surely better" if found.is_better else "surely worse" if found.is_worse else "not sure"
    return element(
        "svg",
        element("path", d="M0 10H100", class_="grid"),
        element("path", element("title", "no difference"), d="M50 2V18", class_="stop baseline"),
        element("path", d=f"M{at(found.low)} 10H{at(found.high)}", class_="reach own"),
        element(
            "path", element("title", f"{found.value:+.4g}"), d=f"M{at(found.value)} 10h0", class_="dot own"
        ),
        viewBox="0 0 100 20",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{found.metric}: {sure}",
        class_="whisk",
    )


def _ratio(found: ExperimentResult) -> Markup:
    kind = "alert" if found.ratio.is_broken else "good"
    said = "not as assigned" if found.ratio.is_broken else "as assigned"
    return section(
        "shares", "Did both sides get their shares?", element("p", mark(said, kind), f" {found.ratio.told()}")
    )


def _segments(found: ExperimentResult) -> Markup:
    if not found.segments:
        return Markup("")
    rows = [_difference(f"{one.column} = {words.shown(one.value)}", one.difference) for one in found.segments]
    heads = [
        "where",
        "metric",
        found.control,
        found.treatment,
        "difference",
        "surely between",
        "",
        "p",
        "units",
    ]
    fine = note("The intervals hold for all segments together.")
    return section(
        "segments",
        "By segment",
        table(heads, rows, label="Segments", numeric=(2, 3, 4, 5, 7, 8), wide=True),
        fine,
    )


def _how(found: ExperimentResult) -> Markup:
    ways = {
        "always": "The intervals are always-valid: looking often does not make a wrong verdict likelier.",
        "once": "It is judged once, when all planned units are known: until then nothing is decided.",
        "looks": "The bounds are those of the planned looks; between two of them nothing is decided.",
    }
    return note(ways.get(found.method, f"Method: {found.method}."))


PAGES = (
    Page(path="/experiments", title="Experiments", nav="Experiments", order=65, key="x", make=make),
    Page(
        path="/experiments/{experiment}",
        title="{experiment}",
        kicker="Experiment",
        under="/experiments",
        make=one,
    ),
)
