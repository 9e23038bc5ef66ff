"""Compare: versions or runs beside each other – metrics with intervals, slices, curves, parameters, and what data they saw."""

from __future__ import annotations

from collections.abc import Sequence

from treadle.app.ui import beside
from treadle.app.ui.charts.lines import Line, Lines, Point
from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import empty, figure
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.records import ModelVersion, Run
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import note, section
from treadle.loop.comparing import Compared

#: Versions or runs at most: more do not fit beside each other.
MOST = 6
_KINDS = ("frozen", "own", "other", "baseline")


def make(seen: Seen) -> Markup:
    """Return what was chosen beside each other; without a choice, a form to make one.

    Raises:
        NotFound: there is no such version or run.
        InvalidInput: there are too many, or versions of several models.
    """
    workspace = seen.workspace
    chosen = list(dict.fromkeys(one for one in seen.all.get("version", ()) if one))
    versions = [workspace.models.get(one) for one in chosen]
    runs = [workspace.runs.get(one) for one in dict.fromkeys(seen.all.get("run", ())) if one]
    if len(versions) + len(runs) > MOST:
        msg = f"{len(versions) + len(runs)} were chosen. Expected {MOST} at most: more do not fit beside each other."
        raise InvalidInput(msg, field="version")
    if len(versions) + len(runs) < 2:
        return joined([_choose(seen, chosen, [run.id for run in runs]), _hint(seen)])
    named = {_name(version): _run(seen, version) for version in versions}
    named |= {run.id: run for run in runs}
    columns = {name: _column(name, versions) for name in named}
    parts: list[Markup | None] = [_choose(seen, chosen, [run.id for run in runs])]
    if len(versions) > 1 and not runs:
        parts += _same_rows(seen, [_name(version) for version in versions])
    parts += [
        beside.recorded(named, columns),
        _curves(seen, named),
        beside.parameters(named, columns),
        beside.data_of(seen.workspace, named, columns),
        beside.judged(seen.workspace, named, columns),
    ]
    return joined(part for part in parts if part is not None)


def _name(version: ModelVersion) -> str:
    return f"{version.model}/{version.version}"


def _run(seen: Seen, version: ModelVersion) -> Run | None:
    try:
        return seen.workspace.runs.get(version.run)
    except NotFound:
        return None


def _column(name: str, versions: Sequence[ModelVersion]) -> Markup:
    """Return the heading of a column, as a link to what stands in it."""
    if any(_name(version) == name for version in versions):
        model, _, number = name.rpartition("/")
        return element("a", name, href=address("models", model, number))
    return element("a", name[:12] + "…", href=address("runs", name), title=name)


def _hint(seen: Seen) -> Markup:
    name = next(iter(seen.workspace.models.names()), "")
    if not name:
        return empty("There is nothing to compare yet: no version was made.", command="treadle run")
    then = "On a model's page, versions can be ticked; on the page of runs, runs."
    return empty("Choose two or more versions of one model, or runs.", then=then)


def _choose(seen: Seen, versions: Sequence[str], runs: Sequence[str]) -> Markup:
    """Return the form that chooses; every choice is in the address."""
    given = [("version", one) for one in versions] + [("run", one) for one in runs]
    given.append(("run" if runs else "version", ""))
    known = [
        f"{model}/{version.version}"
        for model in seen.workspace.models.names()[:20]
        for version in seen.workspace.models.page(model, limit=15).rows
    ]
    boxes = [
        element(
            "label",
            element("span", f"{name} {place}"),
            element(
                "input",
                name=name,
                value=value,
                list="known" if name == "version" else None,
                autocomplete="off",
            ),
        )
        for place, (name, value) in enumerate(given, start=1)
    ]
    listed = element("datalist", *(element("option", value=one) for one in known), id="known")
    return element(
        "form",
        *boxes,
        listed,
        element("button", "Compare"),
        method="get",
        action="/compare",
        class_="filters",
        role="search",
    )


def _same_rows(seen: Seen, names: Sequence[str]) -> list[Markup]:
    """Return how the versions answer the same rows: it takes some seconds, so it comes by itself when it is there."""
    if len({name.rpartition("/")[0] for name in names}) > 1:
        said = (
            "These are versions of several models: they answer different questions, and no rows compare them."
        )
        return [section("same", "On the same rows", element("p", said))]
    found: Compared | None = seen.kept.get(("compare", *names), lambda: seen.workspace.compare(names))
    if found is None:
        said = "They are answering the same test rows now; what comes of it appears here by itself."
        return [section("same", "On the same rows", element("p", said))]
    told = (
        f"All of them answered the {words.count(found.rows)} test rows of {found.dataset} version {found.dataset_version} now; none was trained "
        f"on one of these. Differences are row by row against {names[0]}, with 95 % intervals."
    )
    plots = [figure(seen, _plot(found, place)) for place in range(len(found.plots))]
    same = section("same", "On the same rows", element("p", told), beside.gaps(found), beside.scores(found))
    parts = [same]
    if plots:
        parts.append(section("plots", "In pictures", element("div", *plots, class_="plots wide-plots")))
    if found.slices:
        parts.append(section("slices", "Slice by slice", beside.slices(found)))
    return parts


def _plot(found: Compared, place: int) -> Lines:
    plot = found.plots[place]
    kinds = dict(zip(found.versions, [*_KINDS[:3], *["other"] * MOST], strict=False))
    lines = [
        Line(
            name=line.name.removeprefix("baseline:"),
            kind=kinds.get(line.name, "baseline"),
            points=[Point(x=a, y=b) for a, b in zip(line.x, line.y, strict=True)],
        )
        for line in plot.lines
    ]
    return Lines(
        name=f"plot-{place}",
        title=plot.title,
        lines=lines,
        up=plot.up,
        across=plot.across,
        times=False,
        diagonal=plot.reference == "diagonal",
    )


def _curves(seen: Seen, named: dict[str, Run | None]) -> Markup | None:
    """Return what the trainings logged by step, where two or more logged the same."""
    logged: dict[str, list[Line]] = {}
    for place, (name, run) in enumerate(named.items()):
        if run is None:
            continue
        for (metric,), part in seen.workspace.runs.metrics(run.id).group_by("name", maintain_order=True):
            points = [
                Point(x=float(step), y=value)
                for step, value in part.select("step", "value").drop_nulls().iter_rows()
            ]
            if len(points) > 1:
                kind = _KINDS[place] if place < 3 else "other"
                logged.setdefault(str(metric), []).append(Line(name=name, points=points, kind=kind))
    drawn = [
        figure(
            seen,
            Lines(
                name=f"curve-{number}",
                title=f"{metric} by step",
                lines=lines,
                up=metric,
                across="step",
                times=False,
            ),
        )
        for number, (metric, lines) in enumerate(logged.items())
    ]
    if not drawn:
        return None
    return section("curves", "Curves of training", *drawn, note("As the training functions logged them."))


PAGE = Page(path="/compare", title="Compare", nav="Compare", order=10, key="c", make=make)
