"""The frame round each page: head, navigation, notice and the page's own content."""

from __future__ import annotations

from treadle.app.ui.page import Page, Seen, pages
from treadle.data.profiles.page.markup import Markup, element, joined


def framed(page: Page, seen: Seen, content: Markup) -> str:
    """Return a whole HTML document round a page's content."""
    links = [element("a", one.nav, href=one.path) for one in pages() if one.nav and seen.user.may(one.role)]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{page.title} – {seen.workspace.settings.project.name}"),
    )
    said = element("p", seen.notice, role="status") if seen.notice else Markup("")
    body = element("body", element("nav", *links), element("main", element("h1", page.title), said, content))
    return joined([Markup("<!doctype html>"), element("html", head, body, lang="en")])
