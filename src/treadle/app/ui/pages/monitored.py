"""One model under watch: drift by column over time, answers as estimated and as they were, outcomes that came, worst slices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from treadle.app.ui import links, liveness
from treadle.app.ui.charts.lines import Line, Lines, Point
from treadle.app.ui.page import Page, Seen
from treadle.app.ui.pages.monitor import latest
from treadle.app.ui.parts import ago, empty, figure, mark
from treadle.core.errors import TreadleError
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import folded, note, section, table
from treadle.loop.estimating import Stretch
from treadle.monitoring.drift import Drift, Finding

#: How far back, and how many columns are drawn: those that have moved most.
BACK = timedelta(days=90)
DRAWN, LISTED, SLICES = 5, 40, 12
#: Inputs by whose values slices are looked for, and outcomes that one must have to be told from chance.
INPUTS, LEAST = 4, 30
_DIVIDING = frozenset(["category", "string", "boolean"])
_KINDS = ("own", "frozen", "baseline", "other", "other")


def make(seen: Seen) -> Markup:
    """Return what is known of one model's rows and answers.

    Raises:
        NotFound: the project declares no such model.
    """
    model = seen.workspace.project.model(seen.path["model"])
    lead = element("p", "The model itself: ", links.model(model.name), class_="lead")
    return joined(
        [
            lead,
            _drift(seen, model.name),
            _estimated(seen, model.name),
            _outcomes(seen, model.name),
            _slices(seen, model.name),
        ]
    )


def _drift(seen: Seen, model: str) -> Markup:
    found = latest(seen, model)
    if found is None and seen.workspace.tables.exists(f"drift/{model}"):
        return section("drift", "Drift", note("is being read …"))
    if found is None:
        nothing = empty(
            "The rows of this model were never compared with those that it has learnt from.",
            command=f"treadle drift {model}",
            then="With td.Drift() among the triggers of its policy the watcher does so by itself.",
        )
        return section("drift", "Drift", nothing)
    lead = element("p", f"{words.shown(found.text, longest=600)} ", ago(found.at, seen.now))
    chart = _by_column(seen, model)
    return section("drift", "Drift", lead, figure(seen, chart) if chart else None, _findings(seen, found))


def _by_column(seen: Seen, model: str) -> Lines | None:
    stamp = f"{seen.workspace.tables.version(f'drift/{model}')} {seen.now:%Y-%m-%d}"
    since = seen.now - BACK
    rows = seen.kept.get(("drifts", model), lambda: _effects(seen, model, since), stamp=stamp)
    if rows is None or rows["at"].n_unique() < 2:
        return None
    order = (
        rows.group_by("column").agg(pl.col("effect").max()).sort("effect", "column", descending=[True, False])
    )
    lines = []
    for place, column in enumerate(order["column"].head(DRAWN)):
        own = rows.filter(pl.col("column") == column).sort("at")
        points = [Point(x=at.timestamp(), y=effect) for at, effect in own.select("at", "effect").rows()]
        lines.append(
            Line(name=words.shown(column) or "all columns together", points=points, kind=_KINDS[place])
        )
    return Lines(
        name="drift",
        title=f"How much each column has moved, as a share of the rows, last {BACK.days} days",
        lines=lines,
        up="effect",
        from_zero=True,
    )


def _effects(seen: Seen, model: str, since: datetime) -> pl.DataFrame:
    rows = seen.workspace.drifts.scan(model).filter((pl.col("at") >= since) & (pl.col("detector") != ""))
    return rows.group_by("at", "column").agg(pl.col("effect").max()).collect()


def _findings(seen: Seen, found: Drift) -> Markup:
    if not found.findings:
        return note("Nothing could be compared.")
    moved, still = found.drifted, [one for one in found.findings if not one.drifted]
    rest = folded(
        f"{words.plural(len(still), 'test')} that found nothing",
        _listed(seen, still[:LISTED], "Tests that found nothing"),
    )
    return joined(
        [_listed(seen, moved[:LISTED], "Findings") if moved else Markup(""), rest if still else Markup("")]
    )


def _listed(seen: Seen, findings: Sequence[Finding], label: str) -> Markup:
    rows = [_finding(seen, one) for one in findings]
    heads = ["column", "says", "how much", "noise", "what moved", "matters for the answers", "since"]
    return table(heads, rows, label=label, numeric=(2, 3, 5), class_="drifted", wide=True)


def _finding(seen: Seen, one: Finding) -> list[str]:
    told = mark("moved", "warning") if one.drifted else mark("as learnt", "good")
    where = f" (above all {words.shown(one.slice)})" if one.slice else ""
    return [
        element("code", element("bdi", words.shown(one.column) or "all columns")),
        element("span", told, f" {one.detector}"),
        words.number(one.effect),
        words.number(one.floor),
        words.shown(one.text, longest=400) + where,
        "–" if one.importance is None else words.share(one.importance),
        ago(one.since, seen.now, missing="–"),
    ]


def _estimated(seen: Seen, model: str) -> Markup:
    stamp = f"{seen.workspace.tables.version(f'predictions/{model}')} {seen.now:%Y-%m-%d}"
    try:
        found = seen.kept.get(("estimated", model), lambda: _stretches(seen, model), stamp=stamp)
    except TreadleError as error:
        return section(
            "estimated", "Estimated and real performance", note(words.shown(str(error), longest=400))
        )
    if found is None:
        return section("estimated", "Estimated and real performance", note("is being estimated …"))
    metric = found[0].metric
    mine = [one for one in found if one.metric == metric]
    lines = [
        Line(
            name="estimated",
            points=[Point(x=o.start.timestamp(), y=o.estimated, low=o.low, high=o.high) for o in mine],
        ),
        Line(
            name="as it was", points=[Point(x=o.start.timestamp(), y=o.realised) for o in mine], kind="frozen"
        ),
        Line(
            name="at training",
            points=[Point(x=o.start.timestamp(), y=o.before) for o in mine],
            kind="baseline",
        ),
    ]
    chart = Lines(
        name="estimated",
        title=f"{metric} by week: estimated without outcomes, and as it was",
        lines=lines,
        up=metric,
    )
    fine = note(
        "Estimated from the answers alone; beside it the same metric where outcomes are known by now."
    )
    return section("estimated", "Estimated and real performance", figure(seen, chart), fine)


def _stretches(seen: Seen, model: str) -> list[Stretch]:
    return seen.workspace.estimate(model)


def _outcomes(seen: Seen, model: str) -> Markup:
    try:
        found = liveness.recent(seen, model)
    except TreadleError as error:
        return section("outcomes", "Outcomes", note(words.shown(str(error), longest=400)))
    if found is None:
        return section("outcomes", "Outcomes", note("are being counted …"))
    if not found.asked:
        return section("outcomes", "Outcomes", note("Nobody has asked its endpoint in the last four weeks."))
    points = [
        Point(
            x=one.start.timestamp(),
            y=one.n / one.asked,
            said=f"{words.count(one.n)} of {words.count(one.asked)}",
        )
        for one in found.stretches
        if one.start is not None and one.asked
    ]
    chart = Lines(
        name="outcomes",
        title="Share of answers whose outcome is known by now, by day of the answer",
        lines=[Line(name="known", points=points)],
        up="share known",
        from_zero=True,
    )
    known = found.whole.n if found.whole else 0
    told = f"{words.count(known)} of {words.count(found.asked)} outcomes of the last four weeks are known."
    return section("outcomes", "Outcomes", note(told), figure(seen, chart))


def _slices(seen: Seen, model: str) -> Markup:
    stamp = f"{seen.workspace.tables.version(f'outcomes/{model}')} {seen.now:%Y-%m-%d}"
    try:
        found = seen.kept.get(("slices", model), lambda: _worst(seen, model), stamp=stamp)
    except TreadleError as error:
        return section("slices", "Worst slices", note(words.shown(str(error), longest=400)))
    if found is None:
        return section("slices", "Worst slices", note("are being measured …"))
    if not found:
        return section(
            "slices", "Worst slices", note("No outcome of an answer is known yet, or no input has classes.")
        )
    rows = [
        [
            f"{column} = {words.shown(value)}",
            words.number(score),
            f"{words.number(low)} … {words.number(high)}",
            words.count(n),
        ]
        for column, value, score, low, high, n in found
    ]
    return section(
        "slices",
        "Worst slices",
        table(
            ["where", "metric", "95 % interval", "outcomes"],
            rows,
            label="Worst slices",
            numeric=(1, 3),
            wide=True,
        ),
    )


def _worst(seen: Seen, model: str) -> list[tuple[str, str, float, float, float, int]]:
    """Return the slices by one input whose metric is worst, the worst first."""
    workspace = seen.workspace
    variant = workspace.endpoints.get(model).variants[0]
    version = workspace.models.get(f"{variant.model}/{variant.version}")
    names = [one.name for one in version.signature.inputs if one.kind in _DIVIDING][:INPUTS]
    overall = workspace.lately(model, since=seen.now - BACK, every="all")
    found = []
    for name in names:
        rows = workspace.performance(model, every="all", by=[name]).filter(
            pl.col("version") == variant.version
        )
        known = (
            rows.drop_nulls(["value", "low", "high"])
            .filter(pl.col("n") >= LEAST)
            .select(name, "value", "low", "high", "n")
            .rows()
        )
        found += [(name, str(value), score, low, high, n) for value, score, low, high, n in known]
    return sorted(found, key=lambda one: one[2], reverse=not overall.greater_is_better)[:SLICES]


PAGE = Page(path="/monitor/{model}", title="{model}", kicker="Monitor", under="/monitor", make=make)
