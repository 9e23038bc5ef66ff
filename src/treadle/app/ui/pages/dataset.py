"""One dataset: its versions, what they must meet, what was put aside and why, and how two versions differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from treadle.app.contracted import contracts
from treadle.app.ui import links
from treadle.app.ui.graph import told
from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.paged import ROWS, TAKEN, Sheet, ways
from treadle.app.ui.parts import action, ago, as_csv, empty, filters, mark
from treadle.app.ui.versions import differences
from treadle.core.records import DatasetVersion
from treadle.data.columns import ColumnSpec
from treadle.data.contracts import ContractSpec
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import note, section, table

_COUNTS = ("landed", "accepted", "corrected", "deleted", "quarantined", "repeated", "outcomes", "rows")


def make(seen: Seen) -> Markup:
    """Return what a tab of the dataset shows."""
    name = seen.path["dataset"]
    seen.workspace.project.dataset(name)
    if name not in seen.workspace.datasets.names():
        return empty(f"Nothing of {words.shown(name)} has landed yet.", command=f"treadle ingest {name}")
    tab = seen.query.get("tab", "versions")
    shown = _TABS.get(tab, _versions)
    return joined([_tabs(name, tab if tab in _TABS else "versions"), shown(seen, name)])


def _tabs(name: str, now: str) -> Markup:
    inside = [
        element(
            "a",
            tab.capitalize(),
            href=address("data", name, tab=None if tab == "versions" else tab),
            aria_current="page" if tab == now else None,
        )
        for tab in _TABS
    ]
    return element("nav", *inside, class_="tabs", aria_label="Views of the dataset")


def _versions(seen: Seen, name: str) -> Markup:
    part = seen.workspace.datasets.page(name, after=seen.query.get("after", ""), limit=ROWS)
    tags = {one.version: one.tag for one in seen.workspace.tags.list(name)}
    rows = [
        (
            links.dataset_version(name, one.version, shown=str(one.version)),
            ago(one.created_at, seen.now),
            *(words.count(getattr(one, count)) for count in _COUNTS),
            joined(
                [
                    *([mark(tags[one.version])] if one.version in tags else []),
                    words.shown(one.why, longest=120) if one.why else "–",
                    *([mark(words.plural(len(one.problems), "problem"), "alert")] if one.problems else []),
                ]
            ),
        )
        for one in part.rows
    ]
    listed = table(
        ["version", "made", *_COUNTS, "why"],
        rows,
        label="Versions",
        numeric=range(2, 2 + len(_COUNTS)),
        wide=True,
        class_="rows",
    )
    sheet = Sheet("versions", ["version", "created_at", *_COUNTS, "why", "actor"], lambda: _plain(seen, name))
    return joined([listed, ways(seen, part, noun="version"), as_csv(seen, sheet, title="Versions")])


def _plain(seen: Seen, name: str) -> Sequence[Sequence[Any]]:
    found = seen.workspace.datasets.page(name, limit=TAKEN).rows
    return [
        (
            one.version,
            one.created_at.isoformat(),
            *(getattr(one, count) for count in _COUNTS),
            one.why,
            one.actor,
        )
        for one in found
    ]


def _contract(seen: Seen, name: str) -> Markup:
    found = contracts(seen.workspace, name)
    parts = [_of_part(part, spec, name=name, several=len(found) > 1) for part, spec in found.items()]
    return joined(parts)


def _of_part(part: str, spec: ContractSpec, *, name: str, several: bool) -> Markup:
    rows = [
        (
            element("code", element("bdi", words.shown(column.name))),
            column.kind,
            "may be missing" if column.nullable else "always there",
            words.shown("; ".join(_demands(column)), longest=400) or "–",
        )
        for column in spec.columns
    ]
    listed = table(
        ["column", "type", "values", "what they must be"], rows, label=f"Contract of {part}", wide=True
    )
    rules = [element("li", words.shown(rule.text or rule.name, longest=300)) for rule in spec.rules]
    declared = "Nobody declared it: it was learnt from the first rows. " if spec.inferred else ""
    told = note(declared, "Draft one from the rows: ", element("code", f"treadle contract infer {name}"))
    heading = part.capitalize() if several else "Every row"
    return section(f"contract-{part}", heading, listed, element("ul", *rules) if rules else None, told)


def _demands(column: ColumnSpec) -> list[str]:
    bounds = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    told = [
        f"{said} {getattr(column, name)}"
        for name, said in bounds.items()
        if getattr(column, name) is not None
    ]
    if column.allowed is not None:
        told.append(f"one of {', '.join(map(str, column.allowed))}")
    if column.pattern is not None:
        told.append(f"like {column.pattern}")
    for name, said in (("min_length", "at least"), ("max_length", "at most")):
        if getattr(column, name) is not None:
            told.append(f"{said} {getattr(column, name)} characters")
    if column.length is not None:
        told.append(f"{column.length} numbers")
    return told


def _quarantine(seen: Seen, name: str) -> Markup:
    ws, has = seen.workspace, seen.query.get("reason", "")
    waiting = ws.quarantine.waiting(name)
    if not waiting:
        return empty("No row is in quarantine: every row that landed met the contract.")
    reasons = ws.quarantine.reasons(name)
    counted = table(
        ["reason", "rows", "show"],
        [
            (
                words.shown(one.reason, longest=200),
                words.count(one.rows),
                element(
                    "a",
                    "only these",
                    href=address("data", name, tab="quarantine", reason=one.reason),
                    aria_label=f"Only rows put aside as: {one.reason[:80]}",
                ),
            )
            for one in reasons
        ],
        label="Reasons",
        numeric=[1],
        wide=True,
    )
    part = ws.quarantine.page(name, reason=has, after=seen.query.get("after", ""), limit=ROWS)
    rows = [
        (
            element("span", words.shown(one.file, longest=80), f", row {one.row}"),
            links.dataset_version(name, one.version, shown=str(one.version)),
            told(one.reason, longest=300),
            element("code", words.shown(one.raw, longest=300), class_="told"),
        )
        for one in part.rows
    ]
    listed = table(
        ["where", "version", "reason", "as it landed"],
        rows,
        label="Rows in quarantine",
        wide=True,
        class_="rows",
    )
    sheet = Sheet(
        "quarantine", ["version", "part", "file", "row", "reason", "raw"], lambda: _taken(seen, name)
    )
    return joined(
        [
            element("p", f"{words.plural(waiting, 'row')} in quarantine.", class_="lead"),
            section("reasons", "Reasons", counted),
            section(
                "rows",
                "Rows",
                filters(seen, [("reason", "Text in the reason", ())]),
                _readmit(seen, name, has),
                listed,
                ways(seen, part, noun="row"),
                as_csv(seen, sheet, title="Rows in quarantine"),
            ),
        ]
    )


def _readmit(seen: Seen, name: str, has: str) -> Markup:
    which = f"rows whose reasons have “{words.shown(has)}”" if has else "all of them"
    given = {"dataset": name, **({"reason_has": has} if has else {})}
    about = (
        f"Checks {which} again, under the contract as it is now; those that meet it become rows of a new version, and the others stay. "
        f"To put values in first: treadle datasets readmit {name} --set COLUMN=VALUE"
    )
    back = address("data", name, tab="quarantine")
    return element(
        "div",
        action(seen, "readmit", given, label="Re-admit", about=about, back=back),
        class_="actions",
    )


def _taken(seen: Seen, name: str) -> Sequence[Sequence[Any]]:
    found = seen.workspace.quarantine.page(name, reason=seen.query.get("reason", ""), limit=TAKEN).rows
    return [(one.version, one.part, one.file, one.row, one.reason, one.raw) for one in found]


def _difference(seen: Seen, name: str) -> Markup:
    newest: DatasetVersion = seen.workspace.datasets.version(name)
    return differences(seen, name, newest=newest.version)


_TABS: dict[str, Callable[[Seen, str], Markup]] = {
    "versions": _versions,
    "contract": _contract,
    "quarantine": _quarantine,
    "difference": _difference,
}
PAGE = Page(path="/data/{dataset}", title="{dataset}", under="/data", kicker="Dataset", make=make)
