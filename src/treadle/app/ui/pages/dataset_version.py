"""One dataset version: what it holds, row by split, its columns, the files that it read, some of its rows, and its profile."""

from __future__ import annotations

import polars as pl

from treadle.app.profiled import profiled
from treadle.app.ui import links
from treadle.app.ui.page import Page, Seen, address
from treadle.app.ui.parts import ago, day, meter
from treadle.core.errors import NotFound
from treadle.core.records import DatasetVersion
from treadle.data.profiles import words
from treadle.data.profiles.page.cards import cards
from treadle.data.profiles.page.leaks import leaks
from treadle.data.profiles.page.markup import Anchors, Markup, element, joined
from treadle.data.profiles.page.overview import overview
from treadle.data.profiles.page.pairs import pairs
from treadle.data.profiles.page.parts import facts, folded, note, section, table
from treadle.data.profiles.page.times import times
from treadle.data.profiles.page.top import about, first_look

#: Rows of a version and files that a page shows, and characters of a cell.
_ROWS, _FILES, _LONGEST = 20, 100, 60
_SPLITS = ("train", "validation", "test")


def make(seen: Seen) -> Markup:
    """Return what a version holds."""
    found = _version(seen)
    return joined(
        [
            element("p", words.shown(found.why, longest=400), class_="lead") if found.why else "",
            facts(_facts(seen, found)),
            _ways(seen, found),
            section("splits", "Rows by split", _splits(seen, found)),
            section("schema", "Columns", _schema(found)),
            section("sample", "Some rows", _sample(seen, found)),
            _files(found),
        ]
    )


def make_profile(seen: Seen) -> Markup:
    """Return the profile of a version; it is made when somebody asks for it first, and kept."""
    version = _version(seen)
    there = profiled(seen.workspace, version.dataset, version.version, make=seen.query.get("make") == "yes")
    back = element(
        "p", links.dataset_version(version.dataset, version.version), ", which this is the profile of."
    )
    if there is None:
        return joined([back, _offer(version)])
    anchors = Anchors(column.name for column in there.columns)
    found = [
        first_look(there, anchors),
        leaks(there, anchors),
        times(there, anchors),
        overview(there, anchors),
        pairs(there, anchors),
        cards(there, anchors),
        about(there),
    ]
    return joined([back, *(part for part in found if part is not None)])


def _offer(version: DatasetVersion) -> Markup:
    where = address("data", version.dataset, str(version.version), "profile")
    form = element(
        "form",
        element("input", type="hidden", name="make", value="yes"),
        element("button", "Make it"),
        method="get",
        action=where,
    )
    said = f"No profile of this version was made yet. It reads all {words.plural(version.rows, 'row')}, once; a million take some seconds."
    return element("div", element("p", said), form, class_="empty")


def _version(seen: Seen) -> DatasetVersion:
    name, number = seen.path["dataset"], seen.path["version"]
    if not number.isdigit() or len(number) > 9:
        msg = f"Dataset {name!r} has no version {number!r}. Expected a number."
        raise NotFound(msg)
    return seen.workspace.datasets.version(name, int(number))


def _facts(seen: Seen, found: DatasetVersion) -> list[tuple[str, str]]:
    told = [
        ("dataset", links.dataset(found.dataset)),
        ("made", ago(found.created_at, seen.now)),
        ("rows", words.count(found.rows)),
        ("landed", words.count(found.landed)),
        ("accepted", words.count(found.accepted)),
        ("put aside", words.count(found.quarantined)),
    ]
    if found.corrected or found.deleted or found.removed:
        told.append(
            ("corrected, deleted, removed", f"{found.corrected:,}, {found.deleted:,}, {found.removed:,}")
        )
    if found.outcomes_known:
        told.append(("outcomes known", words.count(found.outcomes_known)))
    if found.time_min and found.time_max:
        told.append(("from", joined([day(found.time_min), " to ", day(found.time_max)])))
    if found.actor:
        told.append(("by", words.shown(found.actor)))
    return told


def _ways(seen: Seen, found: DatasetVersion) -> Markup:
    parts = ("data", found.dataset, str(found.version))
    ways = [element("a", "Profile", href=address(*parts, "profile"))]
    if found.version > 1:
        before: dict[str, str | int | None] = {
            "tab": "difference",
            "from": found.version - 1,
            "to": found.version,
        }
        ways.append(element("a", "What came with it", href=address("data", found.dataset, **before)))
        ways.append(
            element("a", "← version before", href=address("data", found.dataset, str(found.version - 1)))
        )
    newest = seen.workspace.datasets.version(found.dataset).version
    if found.version < newest:
        ways.append(
            element("a", "next version →", href=address("data", found.dataset, str(found.version + 1)))
        )
    return element("p", *(part for way in ways for part in (way, "  ")), class_="ways")


def _splits(seen: Seen, found: DatasetVersion) -> Markup:
    if found.split is None:
        return element("p", "The dataset has no split. Declare one: split=td.HashSplit()", class_="fine")
    rows = seen.workspace.datasets.scan(found.dataset, version=found.version, columns=["_split"])
    counted = dict(rows.group_by("_split").len().collect().rows())
    total = sum(counted.values()) or 1
    names = [*(one for one in _SPLITS if one in counted), *sorted(set(counted) - {*_SPLITS}, key=str)]
    listed = [
        (
            str(name),
            words.count(counted[name]),
            words.share(counted[name] / total),
            meter(counted[name] / total, label=f"{words.share(counted[name] / total)} {name}"),
        )
        for name in names
    ]
    scheme = f"By {found.split.scheme} of {', '.join(found.split.columns)}: no row ever moves."
    return joined(
        [table(["split", "rows", "share", ""], listed, label="Rows by split", numeric=[1, 2]), note(scheme)]
    )


def _schema(found: DatasetVersion) -> Markup:
    rows = [(element("code", element("bdi", words.shown(name))), kind) for name, kind in found.schema]
    return folded(words.plural(len(rows), "column"), table(["column", "type"], rows, label="Columns"))


def _sample(seen: Seen, found: DatasetVersion) -> Markup:
    names = [name for name, _ in found.schema]
    try:
        rows = seen.workspace.datasets.scan(found.dataset, version=found.version, columns=[*names, "_split"])
        frame = rows.head(_ROWS).collect()
    except NotFound as error:
        return element("p", str(error), class_="notice")
    cells = frame.select(_as_text(name, kind) for name, kind in frame.schema.items()).rows()
    listed = [[_cell(cell) for cell in row] for row in cells]
    read = f'ws.datasets.read("{found.dataset}", version={found.version})'
    return joined(
        [
            table(frame.columns, listed, label="Some rows", wide=True),
            note("In Python, all of them: ", element("code", read)),
        ]
    )


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.Datetime):
        return pl.col(name).dt.strftime("%Y-%m-%d %H:%M:%S")
    if kind.is_nested() or kind == pl.Binary:
        return pl.lit(str(kind)).alias(name)
    return pl.col(name).cast(pl.String, strict=False)


def _cell(cell: str | None) -> Markup:
    return (
        element("span", "–", class_="fine")
        if cell is None
        else element("bdi", words.shown(cell, longest=_LONGEST))
    )


def _files(found: DatasetVersion) -> Markup:
    if not found.files and not found.problems:
        return element("p")
    items = [element("li", words.shown(file, longest=200)) for file in found.files[:_FILES]]
    problems = [
        element("li", words.shown(text, longest=300), class_="alert") for text in found.problems[:_FILES]
    ]
    listed = folded(words.plural(len(found.files), "file"), element("ul", *items)) if items else None
    return section("files", "Files that it read", element("ul", *problems) if problems else None, listed)


PAGES = (
    Page(
        path="/data/{dataset}/{version}",
        title="{dataset}, version {version}",
        under="/data",
        kicker="Dataset version",
        make=make,
    ),
    Page(
        path="/data/{dataset}/{version}/profile",
        title="{dataset}, version {version}: profile",
        under="/data",
        kicker="Data profile",
        make=make_profile,
    ),
)
