"""Data: every dataset, what its newest version holds, and how much of what landed is put aside."""

from __future__ import annotations

from treadle.app.status import DatasetStatus, TreeStatus, datasets_and_trees
from treadle.app.ui import links
from treadle.app.ui.page import Page, Seen
from treadle.app.ui.parts import ago, empty, mark
from treadle.data.profiles import words
from treadle.data.profiles.page.markup import Markup, element, joined
from treadle.data.profiles.page.parts import section, table


def make(seen: Seen) -> Markup:
    """Return the datasets, the rows of feature views, and the trees of files."""
    datasets, trees = datasets_and_trees(seen.workspace)
    if not datasets and not trees:
        return empty(
            "No dataset is declared yet.",
            command="treadle init --data rows.csv --target column",
            then="It looks at the file and writes a project around it.",
        )
    views = seen.workspace.project.views
    own = [one for one in datasets if one.name not in views]
    parts = [_table(seen, own, label="Datasets") if own else None]
    of_views = [one for one in datasets if one.name in views]
    if of_views:
        parts.append(
            section("views", "Rows of feature views", _table(seen, of_views, label="Rows of feature views"))
        )
    if trees:
        parts.append(section("trees", "Trees of files", _trees(seen, trees)))
    return joined([part for part in parts if part is not None])


def _table(seen: Seen, found: list[DatasetStatus], *, label: str) -> Markup:
    rows = [
        (
            links.dataset(one.name),
            links.dataset_version(one.name, one.version, shown=str(one.version)) if one.version else "–",
            words.count(one.rows),
            words.count(one.outcomes_known),
            mark(words.count(one.quarantined), "warning") if one.quarantined else "0",
            ago(one.newest, seen.now, missing="no rows yet"),
            _problems(one.problems),
        )
        for one in found
    ]
    headings = ["dataset", "version", "rows", "outcomes known", "put aside so far", "newest row", "problems"]
    return table(headings, rows, label=label, numeric=[1, 2, 3, 4], wide=True, class_="rows")


def _trees(seen: Seen, found: list[TreeStatus]) -> Markup:
    rows = [
        (
            words.shown(one.name),
            str(one.version or "–"),
            words.count(one.files),
            f"{one.size / 1e6:,.1f} MB",
            ago(one.at, seen.now),
            _problems(one.problems),
        )
        for one in found
    ]
    headings = ["tree", "version", "files", "size", "made", "problems"]
    return table(headings, rows, label="Trees", numeric=[1, 2, 3], wide=True)


def _problems(found: tuple[str, ...]) -> Markup | str:
    if not found:
        return "–"
    told = element("p", words.shown(found[0], longest=160))
    more = element("p", f"and {len(found) - 1} more", class_="fine") if len(found) > 1 else ""
    return joined([mark(words.plural(len(found), "file"), "alert"), told, more])


PAGE = Page(path="/data", title="Data", nav="Data", order=30, key="d", make=make)
