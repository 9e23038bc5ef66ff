"""A page as one file that loads nothing, runs nothing and sends nothing."""

from __future__ import annotations

from pathlib import Path

from treadle.data.profiles.page.markup import Markup, element

#: Were anything of the data ever to become a tag, the browser would still neither run it nor fetch for it.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = Path(__file__).with_name("page.css")


def document(body: Markup, *, title: str, style: Path | None = None) -> str:
    """Return an HTML document that needs no other file; `style` is a sheet beside the one that all pages share."""
    sheets = [sheet.read_text(encoding="utf-8") for sheet in (_STYLE, style) if sheet is not None]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup("\n".join(sheets))),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"
