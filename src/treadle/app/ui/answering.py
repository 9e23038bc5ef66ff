"""What a request for a page is answered with: the page in its frame, or a file that the page offers to take away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from treadle.app.ui.charts.chart import Chart, csv_of
from treadle.app.ui.frame import framed
from treadle.app.ui.page import Page, Seen
from treadle.core.errors import not_found


@dataclass(frozen=True)
class Answer:
    """What is sent."""

    content: str
    media_type: str = "text/html"
    #: What a browser saves it as; empty: it shows it.
    file: str = ""


def answer(page: Page, seen: Seen) -> Answer:
    """Return a page, or with `?export=name.csv` or `name.svg` what of it is taken away.

    Raises:
        NotFound: the page does not offer that, or there is nothing of what its address names.
    """
    content = page.make(seen)
    wanted = seen.query.get("export", "")
    if not wanted:
        return Answer(framed(page, seen, content))
    name, _, kind = wanted.rpartition(".")
    offered = [f"{one}.csv" for one in seen.exports]
    offered += [f"{one}.svg" for one, found in seen.exports.items() if hasattr(found, "svg")]
    if wanted not in offered:
        raise not_found("file of this page", wanted, offered)
    found = seen.exports[name]
    if kind == "svg":
        return Answer(cast("Chart", found).svg(), "image/svg+xml", wanted)
    return Answer(csv_of(found), "text/csv", wanted)
