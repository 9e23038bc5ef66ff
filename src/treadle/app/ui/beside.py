"""Tables with one column for each version or run: metrics, parameters, data, verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from treadle.app.card.measured import named as plain
from treadle.app.ui.parts import mark
from treadle.core.errors import NotFound, TreadleError
from treadle.core.records import Run
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import folded, note, section, table
from treadle.loop.comparing import Compared, Gap
from treadle.loop.rescoring import Score

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace

Named = Mapping[str, Run | None]
Columns = Mapping[str, Markup]


def gaps(found: Compared) -> Markup:
    """Return the differences from the first version, in words that say whether they are certain."""
    rows = [
        [
            f"{gap.metric} {'↑' if gap.greater_is_better else '↓'}",
            gap.version,
            f"{gap.difference:+.4g}",
            "–" if gap.low is None or gap.high is None else f"{gap.low:+.4g} to {gap.high:+.4g}",
            _verdict(gap),
        ]
        for gap in found.gaps
    ]
    heads = ["metric", "version", f"less {found.versions[0]}", "95 % interval", ""]
    return table(heads, rows, label="Differences", numeric=(2, 3), class_="plain", wide=True)


def _verdict(gap: Gap) -> Markup:
    if gap.is_better is None:
        return mark("no certain difference")
    return mark("better", "good") if gap.is_better else mark("worse", "alert")


def scores(found: Compared) -> Markup:
    """Return every metric of every contender with its interval."""
    rows = [
        [_arrow(score), plain_name(score.contender), words.number(score.value), _interval(score)]
        for score in found.scores
    ]
    listed = table(
        ["metric", "who", "value", "95 % interval"],
        rows,
        label="Metrics",
        numeric=(2, 3),
        class_="plain",
        wide=True,
    )
    return folded("Every metric of each, beside the baselines", listed)


def plain_name(contender: str) -> str:
    """Write a version as it is, and a baseline without its kind."""
    return plain(contender) if contender.startswith("baseline:") else contender


def _arrow(score: Score) -> str:
    return f"{score.metric} {'↑' if score.greater_is_better else '↓'}"


def _interval(score: Score) -> str:
    if score.low is None or score.high is None:
        return "–"
    return f"{words.number(score.low)} to {words.number(score.high)}"


def slices(found: Compared) -> Markup:
    """Return the deciding metric on the largest slices, one column for each version."""
    by: dict[str, dict[str, Score]] = {}
    for score in found.slices:
        by.setdefault(score.slice, {})[score.contender] = score
    rows = []
    for name, mine in by.items():
        there = [mine[version] for version in found.versions if version in mine]
        best = (max if there and there[0].greater_is_better else min)(
            (one.value for one in there), default=None
        )
        cells = [
            "–"
            if version not in mine
            else element("b" if mine[version].value == best else "span", words.number(mine[version].value))
            for version in found.versions
        ]
        count = words.count(there[0].n) if there else "–"
        rows.append([element("code", words.shown(name)), count, *cells])
    heads = ["slice", "rows", *found.versions]
    numeric = tuple(range(1, 2 + len(found.versions)))
    listed = table(heads, rows, label="Slices", numeric=numeric, class_="plain", wide=True)
    return joined(
        [
            listed,
            note(
                f"{found.metric} on the largest parts; the best of each is bold, which among many is often chance."
            ),
        ]
    )


def recorded(named: Named, columns: Columns) -> Markup | None:
    """Return the metrics that the runs recorded, each on its own rows."""
    known = [name for name in _all(named, "metrics") if ".baseline" not in name and ".champion" not in name]
    if not known:
        return None
    rows = [
        [
            element("code", name),
            *(words.number(run.metrics.get(name)) if run is not None else "–" for run in named.values()),
        ]
        for name in known
    ]
    told = "Each as it was measured when it was made, on the rows of then: only those on the same rows can be compared."
    return section(
        "recorded",
        "As recorded",
        _table(["metric"], columns, rows, label="Recorded metrics", numeric=True),
        note(told),
    )


def parameters(named: Named, columns: Columns) -> Markup:
    """Return parameters, seed, code and reason; what differs stands out."""
    lines: list[tuple[str, list[str]]] = [
        (name, [_plain(run.params.get(name)) if run is not None else "–" for run in named.values()])
        for name in _all(named, "params")
    ]
    lines += [
        ("seed", [str(run.seed) if run is not None else "–" for run in named.values()]),
        ("code", [run.code.digest[:12] if run is not None and run.code else "–" for run in named.values()]),
        ("environment", [run.environment[:12] if run is not None else "–" for run in named.values()]),
        ("why", [words.shown(run.reason, longest=120) if run is not None else "–" for run in named.values()]),
    ]
    return section(
        "parameters", "Parameters, code, environment", _differing(lines, columns, label="Parameters")
    )


def data_of(workspace: Workspace, named: Named, columns: Columns) -> Markup:
    """Return what data each saw, and how the dataset changed between the first and the last of them."""
    names = sorted({name for run in named.values() if run is not None for name in run.data})
    lines: list[tuple[str, list[str]]] = [
        (
            f"{name}, version",
            [str(run.data.get(name, "–")) if run is not None else "–" for run in named.values()],
        )
        for name in names
    ]
    lines.append(("rows from", [_start(run) for run in named.values()]))
    lines.append(
        (
            "rows until",
            [f"{run.window.end:%Y-%m-%d}" if run and run.window else "–" for run in named.values()],
        )
    )
    listed = _differing(lines, columns, label="Data")
    return section("data", "What they learnt from", listed, *_changes(workspace, named, names))


def _start(run: Run | None) -> str:
    if run is None or run.window is None:
        return "–"
    return f"{run.window.start:%Y-%m-%d}" if run.window.start else "the beginning"


def _changes(workspace: Workspace, named: Named, names: Sequence[str]) -> list[Markup]:
    found = []
    for name in names:
        seen = [run.data[name] for run in named.values() if run is not None and name in run.data]
        low, high = min(seen), max(seen)
        if low == high:
            continue
        try:
            first, last = workspace.datasets.version(name, low), workspace.datasets.version(name, high)
        except (NotFound, TreadleError):
            continue
        told = (
            f"{name}: between version {low} and {high}, {last.rows - first.rows:+,} rows and "
            f"{last.outcomes_known - first.outcomes_known:+,} known outcomes"
        )
        if first.contract != last.contract:
            told += "; the contract changed"
        found.append(element("p", told + "."))
    return found


def judged(workspace: Workspace, named: Named, columns: Columns) -> Markup | None:
    """Return what the gates said of each."""
    by: dict[str, dict[str, Markup]] = {}
    for name, run in named.items():
        for verdict in workspace.verdicts.list(run=run.id) if run is not None else ():
            gate = f"{verdict.gate} against {verdict.reference} ({verdict.metric}{', ' + verdict.slice if verdict.slice else ''})"
            interval = (
                f" {verdict.difference:+.4g} ({verdict.low:+.4g} to {verdict.high:+.4g})"
                if verdict.difference is not None and verdict.low is not None and verdict.high is not None
                else ""
            )
            said = mark("passed", "good") if verdict.passed else mark("said no", "alert")
            by.setdefault(gate, {})[name] = joined([said, interval])
    if not by:
        return None
    rows = [[gate, *(cells.get(name, Markup("–")) for name in named)] for gate, cells in by.items()]
    return section(
        "verdicts",
        "What the gates said when each was made",
        _table(["gate"], columns, rows, label="Verdicts"),
    )


def _all(named: Named, field: str) -> list[str]:
    found: dict[str, None] = {}
    for run in named.values():
        if run is not None:
            found |= dict.fromkeys(getattr(run, field))
    return sorted(found)


def _differing(lines: Sequence[tuple[str, list[str]]], columns: Columns, *, label: str) -> Markup:
    rows = []
    for name, values in lines:
        differs = len(set(values)) > 1
        cells = [element("b", value) if differs else value for value in values]
        rows.append([joined([name, " ", mark("differs", "warning")]) if differs else name, *cells])
    return _table([label.lower()], columns, rows, label=label)


def _table(
    head: Sequence[str], columns: Columns, rows: Sequence[Sequence[str]], *, label: str, numeric: bool = False
) -> Markup:
    heads = [*head, *columns.values()]
    right = tuple(range(1, len(heads))) if numeric else ()
    return table(heads, rows, label=label, numeric=right, class_="plain beside", wide=True)


def _plain(value: object) -> str:
    if value is None:
        return "–"
    return words.shown(value if isinstance(value, str) else json.dumps(value, default=str), longest=80)
