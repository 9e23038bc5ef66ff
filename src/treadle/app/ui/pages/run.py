"""One run: its steps, log and metrics while it goes on and afterwards, what it was made from and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from treadle.app.ui import links
from treadle.app.ui.charts.lines import Line, Lines, Point
from treadle.app.ui.graph import Box, graph, told
from treadle.app.ui.page import Page, Seen
from treadle.app.ui.pages.runs import KINDS
from treadle.app.ui.parts import action, ago, day, figure, mark, span
from treadle.core.records import Run, Verdict
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, folded, section, table
from treadle.loop.stages import Stage, stages

#: Characters of a log that a page shows: its end.
_LOG = 64_000
#: Charts and parameters on a page at most.
_CHARTS = 24
_BOXES = {"done": "good", "kept": "", "running": "warning", "failed": "alert", "waiting": "", "left out": ""}


def make(seen: Seen) -> Markup:
    """Return everything that is known of a run."""
    ws, run = seen.workspace, seen.workspace.runs.get(seen.path["run"])
    verdicts = ws.verdicts.list(run=run.id)
    parts = [
        element(
            "p",
            mark(run.status, KINDS[run.status]),
            " ",
            element("span", words.shown(run.reason, longest=500)),
            class_="lead",
        ),
        _actions(seen, run),
        facts(_facts(seen, run)),
        section("steps", "Steps", _graph(stages(run, ws.steps.of_run(run.id), verdicts))),
        _failure(run),
        _metrics(seen, run),
        _verdicts(verdicts),
        _parameters(run),
        _log(seen, run),
    ]
    followed = (
        element("i", data_follow=f"/live/runs/{run.id}", hidden=True) if run.status == "running" else None
    )
    return joined([part for part in [*parts, followed] if part is not None])


def _facts(seen: Seen, run: Run) -> list[tuple[str, str]]:
    end = run.finished_at or seen.now
    saved = seen.workspace.runs.progress(run)
    told = [
        ("model", links.model(run.model)),
        ("started", ago(run.started_at, seen.now)),
        ("took" if run.finished_at else "running for", span(end - run.started_at)),
        ("attempts", str(run.attempts)),
        ("version", links.version(run.model, run.model_version) if run.model_version else "–"),
        ("data", _data(seen, run)),
        ("window", _window(run)),
        ("seed", str(run.seed)),
    ]
    if run.code is not None:
        commit = f", commit {run.code.commit[:12]}" if run.code.commit else ""
        changed = ", with changes that are not committed" if run.code.diff else ""
        told.append(("code", element("code", f"{run.code.digest[:19]}…{commit}{changed}")))
    if run.environment:
        told.append(("environment", element("code", f"{run.environment[:19]}…")))
    if run.status == "running":
        told.append(("checkpoint", f"{saved} saved" if saved else "none yet"))
    if run.trial is not None:
        told.append(("search", f"trial {run.trial} was the best"))
    return told


def _data(seen: Seen, run: Run) -> Markup:
    views = seen.workspace.project.views
    named = [
        links.dataset_version(name, number, shown=f"{name} version {number}")
        if name in views or name in seen.workspace.project.datasets
        else element("span", f"{name} version {number}")
        for name, number in run.data.items()
    ]
    return joined([part for one in named for part in (one, ", ")][:-1]) if named else element("span", "–")


def _window(run: Run) -> Markup:
    if run.window is None:
        return element("span", "all rows")
    start = day(run.window.start) if run.window.start else element("span", "the beginning")
    return joined([start, " to ", day(run.window.end)])


def _actions(seen: Seen, run: Run) -> Markup | None:
    given = {"run": run.id}
    if run.status == "running":
        about = "Whoever trains it stops within seconds, and nothing becomes of it."
        return element(
            "div", action(seen, "cancel", given, label="Cancel", about=about, kind="alert"), class_="actions"
        )
    if run.status in {"failed", "rejected"} and run.model in seen.workspace.project.models:
        about = "The next look of a watcher trains the model again, on the rows that are there by then."
        return element("div", action(seen, "retry", given, label="Try again", about=about), class_="actions")
    return None


def _graph(found: list[Stage]) -> Markup:
    layers = [
        [
            Box(
                noun="step",
                name=one.name,
                state=one.state,
                kind=_BOXES[one.state],
                said=[
                    one.said,
                    f"took {span(one.took)}" if one.took is not None and one.took > timedelta() else "",
                ],
            )
        ]
        for one in found
    ]
    return graph(layers, label="Steps of the run, each after the one before it")


def _failure(run: Run) -> Markup | None:
    if not run.error:
        return None
    trace = (
        folded("Traceback", element("pre", run.traceback, class_="log", tabindex="0"))
        if run.traceback
        else None
    )
    return section(
        "error",
        "Why it failed",
        element("p", words.shown(run.error, longest=2000), class_="notice alert"),
        trace,
    )


def _metrics(seen: Seen, run: Run) -> Markup | None:
    logged = seen.workspace.runs.metrics(run.id)
    curves = _curves(seen, logged)
    listed = sorted(run.metrics.items())
    if not curves and not listed:
        return None
    judged = [(name.split(".", 2), value) for name, value in listed if name.count(".") >= 2]
    rest = [(element("code", name), words.number(value)) for name, value in listed if name.count(".") < 2]
    shown = table(["metric", "value"], rest, label="Metrics", numeric=[1]) if rest else None
    return section("metrics", "Metrics", *curves, _judged(judged), shown)


def _judged(found: Sequence[tuple[list[str], float]]) -> Markup | None:
    """Return what contenders came to on the same rows: a column for each, the candidate first."""
    if not found:
        return None
    who = dict.fromkeys(["candidate", "champion", *(name for (_, name, _), _ in found)])
    names = [name for name in who if any(name == one for (_, one, _), _ in found)]
    values = {(on, metric, name): value for (on, name, metric), value in found}
    rows = [
        (metric, on, *(words.number(values.get((on, metric, name))) for name in names))
        for on, metric in dict.fromkeys((on, metric) for (on, _, metric), _ in found)
    ]
    shown = [words.shown(name) for name in names]
    numeric = range(2, 2 + len(names))
    return table(
        ["metric", "rows", *shown], rows, label="Metrics of all that was compared", numeric=numeric, wide=True
    )


def _curves(seen: Seen, logged: pl.DataFrame) -> list[Markup]:
    """Return a chart for each metric that was logged at several steps."""
    found: list[Markup] = []
    for (name,), some in logged.filter(pl.col("step").is_not_null()).group_by("name", maintain_order=True):
        if some.height < 2 or len(found) == _CHARTS:
            continue
        ordered = some.sort("step")
        points = [
            Point(x=float(step), y=None if value != value else value)
            for step, value in zip(ordered["step"], ordered["value"], strict=True)
        ]
        title = words.shown(str(name))
        number = len(found) + 1
        chart = Lines(
            name=f"metric-{number}",
            title=title,
            lines=[Line(name=title, points=points)],
            up=title,
            across="step",
            times=False,
        )
        found.append(figure(seen, chart))
    return found


def _verdicts(verdicts: Sequence[Verdict]) -> Markup | None:
    if not verdicts:
        return None
    rows = [
        (
            element("span", one.gate),
            mark("passed", "good") if one.passed else mark("failed", "alert"),
            words.shown(one.metric),
            words.number(one.candidate_value),
            words.number(one.reference_value),
            f"{words.number(one.low)} to {words.number(one.high)}",
            words.count(one.n),
            told(one.reason, longest=300),
        )
        for one in verdicts
    ]
    headings = ["gate", "verdict", "metric", "candidate", "reference", "difference", "rows", "why"]
    listed = table(headings, rows, label="Verdicts", numeric=[3, 4, 5, 6], wide=True)
    return section("verdicts", "Verdicts", listed)


def _parameters(run: Run) -> Markup | None:
    if not run.params:
        return None
    rows = [
        (element("code", words.shown(name)), words.shown(str(value))) for name, value in run.params.items()
    ]
    return section("parameters", "Parameters", table(["parameter", "value"], rows, label="Parameters"))


def _log(seen: Seen, run: Run) -> Markup:
    text = seen.workspace.runs.log(run.id)
    shown = text[-_LOG:]
    cut = element(
        "p", f"The last {words.count(len(shown))} of {words.count(len(text))} characters.", class_="fine"
    )
    if not text:
        said = "Nothing was printed yet." if run.status == "running" else "Nothing was printed."
        return section("log", "Log", element("p", said, class_="fine"))
    inside = element("pre", shown, class_="log", tabindex="0", role="region", aria_label="Log of the run")
    command = element("p", "All of it: ", element("code", f"treadle runs log {run.id}"), class_="fine")
    return section("log", "Log", cut if len(text) > len(shown) else None, inside, command)


PAGE = Page(path="/runs/{run}", title="{run}", under="/runs", kicker="Run", make=make)
