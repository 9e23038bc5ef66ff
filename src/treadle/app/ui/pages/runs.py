"""Runs: every execution of a pipeline, part by part, narrowed down by model, status, metric or parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from treadle.app.ui import links
from treadle.app.ui.graph import told
from treadle.app.ui.page import Page, Seen
from treadle.app.ui.paged import ROWS, TAKEN, Sheet, ways
from treadle.app.ui.parts import ago, as_csv, empty, filters, mark, span
from treadle.core.paging import Paged
from treadle.core.records import Run, RunStatus
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, joined
from treadle.data.profiles.page.parts import table

STATUSES = ("running", "succeeded", "rejected", "failed")
KINDS = {"running": "", "succeeded": "good", "rejected": "warning", "failed": "alert"}
_HEADINGS = ("run", "model", "status", "started", "finished", "version", "reason", "error")


def make(seen: Seen) -> Markup:
    """Return the list with its filters."""
    part = _part(seen, after=seen.query.get("after", ""), limit=ROWS)
    asked = filters(
        seen,
        [
            ("model", "Model", sorted(seen.workspace.project.models)),
            ("status", "Status", STATUSES),
            ("where", "Where, as metrics.loss<0.3", ()),
            ("sort", "Sort by, as -metrics.auc", ()),
        ],
    )
    if not part.rows:
        return joined([asked, _nothing(seen)])
    sheet = Sheet("runs", _HEADINGS, lambda: [_row(run) for run in _part(seen, after="", limit=TAKEN).rows])
    return joined(
        [asked, _table(seen, part.rows), ways(seen, part, noun="run"), as_csv(seen, sheet, title="Runs")]
    )


def _part(seen: Seen, *, after: str, limit: int) -> Paged[Run]:
    sort = seen.query.get("sort", "").strip()
    return seen.workspace.runs.page(
        model=seen.query.get("model", ""),
        status=cast("RunStatus | None", seen.query.get("status") or None),
        where=[text for text in seen.all.get("where", ()) if text.strip()],
        sort=sort.lstrip("-"),
        descending=sort.startswith("-"),
        after=after,
        limit=limit,
    )


def _table(seen: Seen, runs: Sequence[Run]) -> Markup:
    name = seen.query.get("sort", "").strip().lstrip("-")
    headings = ["run", "model", "status", "started", "took", "version", *([name] if name else []), "why"]
    rows = []
    for run in runs:
        length = run.finished_at - run.started_at if run.finished_at else None
        rows.append(
            (
                links.run(run.id, shown=f"…{run.id[-8:]}"),
                links.model(run.model),
                mark(run.status, KINDS[run.status]),
                ago(run.started_at, seen.now),
                span(length) if length else "–",
                links.version(run.model, run.model_version) if run.model_version else "–",
                *([_value(run, name)] if name else []),
                told(run.error or run.reason, longest=110),
            )
        )
    return table(headings, rows, label="Runs", wide=True, class_="rows runs")


def _value(run: Run, name: str) -> str:
    kind, _, rest = name.partition(".")
    found = (run.metrics if kind == "metrics" else run.params).get(rest)
    return words.number(found) if isinstance(found, int | float) else str(found)


def _row(run: Run) -> Sequence[Any]:
    ended = run.finished_at.isoformat() if run.finished_at else ""
    return (
        *(run.id, run.model, run.status, run.started_at.isoformat(), ended),
        *(run.model_version, run.reason, run.error),
    )


def _nothing(seen: Seen) -> Markup:
    if any(seen.query.get(name) for name in ("model", "status", "where", "sort", "after")):
        return empty(
            "No run is like that.", then="Runs are sorted only by metrics and parameters that they have."
        )
    return empty(
        "Nothing has run yet.",
        command="treadle run",
        then="It ingests what is new, trains, judges and releases.",
    )


PAGE = Page(path="/runs", title="Runs", nav="Runs", order=60, key="r", make=make)
