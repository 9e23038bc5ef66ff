"""What every chart is to the page that shows it: a drawing, a table of the same numbers, and files to take away."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Protocol

from treadle.data.profiles.page.markup import Markup, element
from treadle.data.profiles.page.parts import folded, table


class Exportable(Protocol):
    """Something that can be taken away as CSV."""

    @property
    def name(self) -> str:
        """What its files are called; there is one of a name on a page."""

    def rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return headings, and rows of texts: numbers as they are, moments in ISO 8601."""


class Chart(Exportable, Protocol):
    """Something that is drawn."""

    @property
    def title(self) -> str:
        """What stands above it."""

    def drawn(self) -> Markup:
        """Return the drawing, for the page and its style sheet."""

    def svg(self) -> str:
        """Return the drawing as a file of its own, with its colours and texts in it."""


def csv_of(found: Exportable) -> str:
    """Return what can be taken away as CSV; a text that a spreadsheet would take for a formula is quoted by an apostrophe.

    >>> class Sheet:
    ...     name = "x"
    ...     def rows(self):
    ...         return ["model"], [["=cmd()"], ["-0.5"]]
    >>> csv_of(Sheet())
    "model\\r\\n'=cmd()\\r\\n-0.5\\r\\n"
    """
    headings, rows = found.rows()
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_harmless(text) for text in headings])
    writer.writerows([_harmless(text) for text in row] for row in rows)
    return out.getvalue()


def _harmless(text: str) -> str:
    if text[:1] not in {"=", "+", "-", "@", "\t", "\r", "\n"}:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def numbers(chart: Chart) -> Markup:
    """Return a chart's numbers as a table that is folded away."""
    headings, rows = chart.rows()
    if not rows:
        return element("p", "There are no numbers yet.", class_="fine")
    listed = table(headings, rows[:_MOST], label=f"Numbers of: {chart.title}", class_="plain")
    more = f" (the first {_MOST}; all are in the CSV file)" if len(rows) > _MOST else ""
    return folded(f"The numbers{more}", listed)


#: Rows of a chart's table that a page shows.
_MOST = 200
