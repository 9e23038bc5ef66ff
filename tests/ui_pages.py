"""What pages of the dashboard are made from in tests, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

from treadle.app.ui.page import Seen

#: Returns what a page is made from when somebody looks at an address.
Look = Callable[..., Seen]


class Text(HTMLParser):
    """What a page says, without its tags; every element must be closed in its turn."""

    VOID = frozenset({"meta", "link", "br", "hr", "input", "col"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.parts: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def said(page: object) -> str:
    """Return what a page says, with single spaces."""
    return " ".join(" ".join(Text(str(page)).parts).split())
