"""A page about a search: which trial is the best, how the search came to it, and which parameters mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from treadle.app.trials import charts
from treadle.app.trials.axes import axes_of
from treadle.core.clock import span_text
from treadle.core.records import Run
from treadle.data.profiles import words
from treadle.data.profiles.page import charts as plain
from treadle.data.profiles.page.document import document
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import facts, note, section, table
from treadle.training.trials import Trial, best_of


def page(
    run: Run, trials: Sequence[Trial], *, metric: str, greater: bool, importance: Mapping[str, float]
) -> str:
    """Return a search as an HTML document that needs no other file; `importance` is the share of each parameter."""
    best = best_of(trials, greater=greater)
    body = element(
        "main",
        _header(run, trials, best, metric),
        _history(trials, best, metric, greater=greater),
        _parameters(trials, best, metric, importance, greater=greater),
        _steps(trials, best, metric, greater=greater),
        _table(trials, best, metric, greater=greater),
    )
    title, style = f"{run.model}: trials of {run.id}", Path(__file__).with_name("page.css")
    return document(element("body", body), title=title, style=style)


def _header(run: Run, trials: Sequence[Trial], best: Trial | None, metric: str) -> Markup:
    states = [trial.state for trial in trials]
    tiles = [("trials", words.count(len(trials)))]
    tiles += [(state, words.count(states.count(state))) for state in dict.fromkeys(states)]
    tiles.append(("of workers", span_text(sum(trial.seconds for trial in trials))))
    cost = sum(trial.cost for trial in trials)
    if cost:
        tiles.append(("cost", words.number(cost)))
    if best is not None and best.value is not None:
        tiles.insert(0, (f"{metric} of the best", words.number(best.value)))
        told = ", ".join(f"{name} {_shown(value)}" for name, value in best.drawn.params.items())
        lead = f"Trial {best.number} is the best: {told}."
    else:
        lead = "No trial has succeeded."
    return element(
        "header",
        element("p", "Search", class_="kicker"),
        element("h1", run.model, " ", element("small", run.id)),
        element("p", lead, class_="lead"),
        facts(tiles, class_="tiles"),
    )


def _history(trials: Sequence[Trial], best: Trial | None, metric: str, *, greater: bool) -> Markup:
    scale = _scale(trials, greater=greater)
    better = "higher" if greater else "lower"
    return section(
        "history",
        "How the search went",
        _framed(
            charts.history(trials, best, scale, greater=greater),
            scale,
            metric,
            below=plain.axis(["trial 0", f"trial {max(len(trials) - 1, 0)}"]),
        ),
        _legend(trials),
        note(
            f"{metric} on the validation rows, {better} is better. The orange line is the best so far; values far off are "
            "drawn at the edge."
        ),
    )


def _parameters(
    trials: Sequence[Trial],
    best: Trial | None,
    metric: str,
    importance: Mapping[str, float],
    *,
    greater: bool,
) -> Markup | None:
    axes = axes_of(trials)
    if not axes:
        return None
    scale = _scale(trials, greater=greater)
    ordered = sorted(axes, key=lambda axis: -importance.get(axis.name, 0.0))
    cards = [
        element(
            "article",
            element("h3", axis.name),
            _share(axis.name, importance),
            _framed(
                charts.slice_of(axis, trials, best, scale),
                scale,
                "",
                below=element(
                    "div", *(element("span", end) for end in axis.ends), class_=_spread(axis.choices)
                ),
            ),
            class_="card",
        )
        for axis in ordered
    ]
    about = (
        "How much of what sets the best trials apart each parameter explains (PED-ANOVA)."
        if importance
        else "Which parameter mattered how much is told from ten trials up."
    )
    return section(
        "parameters",
        "Parameters",
        note(about),
        element("div", *cards, class_="cards"),
        element("h3", "All parameters together"),
        charts.lines(ordered, trials, best, scale),
        charts.named(ordered, metric),
    )


def _steps(trials: Sequence[Trial], best: Trial | None, metric: str, *, greater: bool) -> Markup | None:
    values = [value for trial in trials for _, value in trial.steps]
    scale = charts.Scale(values, greater=greater)
    drawn = charts.steps(trials, best, scale)
    if drawn is None:
        return None
    last = max(step for trial in trials for step, _ in trial.steps)
    return section(
        "steps",
        "On the way",
        _framed(drawn, scale, metric, below=plain.axis(["step 0", f"step {last}"])),
        note("What each trial reported by step; pruned trials end early, in grey."),
    )


def _table(trials: Sequence[Trial], best: Trial | None, metric: str, *, greater: bool) -> Markup:
    names = list(dict.fromkeys(name for trial in trials for name in trial.drawn.params))
    sign = -1 if greater else 1
    ordered = sorted(trials, key=lambda t: (t.state != "succeeded", sign * (t.value or 0.0), t.number))
    rows = [
        [
            element("b", f"{trial.number} ★") if trial is best else str(trial.number),
            element("span", trial.state, class_=f"key {trial.state}"),
            "–" if trial.value is None else words.number(trial.value),
            *(_shown(trial.drawn.params[n]) if n in trial.drawn.params else "–" for n in names),
            span_text(trial.seconds),
            str(trial.attempts),
            words.shown(trial.error, longest=80) if trial.error else "",
        ]
        for trial in ordered
    ]
    heads = ["trial", "state", metric, *names, "time", "attempts", "why"]
    numeric = (2, *range(3, 5 + len(names)))
    return section("trials", "All trials", table(heads, rows, label="All trials", numeric=numeric, wide=True))


def _scale(trials: Sequence[Trial], *, greater: bool) -> charts.Scale:
    return charts.Scale([t.value for t in trials if t.value is not None], greater=greater)


def _framed(drawing: Markup, scale: charts.Scale, metric: str, below: Markup) -> Markup:
    """Return a chart with the values at its head and foot beside it, and its axis below."""
    head, foot = scale.ends
    beside = element("div", element("span", head), element("i", metric), element("span", foot), class_="ends")
    return element("div", beside, drawing, below, class_="framed")


def _legend(trials: Sequence[Trial]) -> Markup:
    states = [state for state in ("succeeded", "pruned") if any(t.state == state for t in trials)]
    keys = [element("span", "best", class_="key best")]
    keys += [element("span", state, class_=f"key {state}") for state in states]
    return element("p", joined(keys), class_="legend")


def _share(name: str, importance: Mapping[str, float]) -> Markup | None:
    if name not in importance:
        return None
    return element("p", plain.meter(importance[name]), words.share(importance[name]), class_="fine")


def _spread(choices: Sequence[str]) -> str:
    return "axis even" if choices else "axis"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return words.number(value)
    return words.shown("none" if value is None else str(value), longest=24)
