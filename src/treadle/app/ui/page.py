"""A page of the dashboard: an address, a title, and a function that reads the workspace and returns markup."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from treadle.app.ui.kept import Kept
from treadle.core.people import Role, User

if TYPE_CHECKING:
    from treadle.app.ui.charts.chart import Exportable
    from treadle.app.workspace import Workspace
    from treadle.data.profiles.page.markup import Markup


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a page is made from: the workspace, what its address says, who looks, and when."""

    workspace: Workspace
    #: Parts of the path that the page's address names, as `model`.
    path: Mapping[str, str]
    #: What stands behind `?`, the first value of each name; see `all` for those that stand there more than once.
    query: Mapping[str, str]
    user: User
    #: The moment at which somebody looks, by the project's clock.
    now: datetime
    #: What forms send along as `csrf`, so that only pages of this server can ask for a change.
    csrf: str = ""
    #: What the last form came to: a sentence, and whether it went well.
    notice: str = ""
    went_well: bool = True
    #: The address as it was asked for, path and query.
    address: str = "/"
    #: Every value of each name behind `?`, in order.
    all: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: What the page offers to take away, by name: charts and tables, noted as they are drawn.
    exports: dict[str, Exportable] = field(default_factory=dict)
    #: What takes long to read, read beside the pages.
    kept: Kept = field(default_factory=Kept)

    def link(self, **changes: str | int | None) -> str:
        """Return the address of this page with other values behind `?`; None takes a name away.

        >>> from datetime import UTC
        >>> seen = Seen(workspace=None, path={}, query={}, user=None, now=datetime.now(UTC), address="/runs?model=a&x=1")
        >>> seen.link(x=None, after="run_1")
        '/runs?model=a&after=run_1'
        """
        asked = urlsplit(self.address)
        kept = [pair for pair in parse_qsl(asked.query, keep_blank_values=True) if pair[0] not in changes]
        given = [(name, str(value)) for name, value in changes.items() if value is not None]
        query = urlencode([*kept, *given])
        return asked.path + (f"?{query}" if query else "")


def address(*parts: str, **query: str | int | None) -> str:
    """Return the address of a page from the parts of its path, whatever characters are in them.

    >>> address("models", "a/b", tab="card")
    '/models/a%2Fb?tab=card'
    """
    asked = urlencode({name: str(value) for name, value in query.items() if value is not None})
    return "/" + "/".join(quote(part, safe="") for part in parts) + (f"?{asked}" if asked else "")


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page; `make` may block, and runs in a thread."""

    #: The address, with parts in braces, as `/models/{model}`.
    path: str
    #: What stands above it and in the browser's title; parts of the path in braces are filled in.
    title: str
    make: Callable[[Seen], Markup]
    #: What the navigation calls it; empty: it is not in the navigation.
    nav: str = ""
    #: Where it stands in the navigation: the least first.
    order: int = 100
    #: What somebody must be to look.
    role: Role = "viewer"
    #: The page of the navigation that it belongs to, by its address; empty: itself.
    under: str = ""
    #: The key that leads here after `g`, as `o` for the overview; empty: none does.
    key: str = ""
    #: The line above the title.
    kicker: str = ""


@cache
def pages() -> tuple[Page, ...]:
    """Return every page: each module of `treadle.app.ui.pages` has one, called `PAGE`, or several in `PAGES`."""
    found: list[Page] = []
    place = importlib.import_module("treadle.app.ui.pages")
    for module in pkgutil.iter_modules(place.__path__):
        if module.name.startswith("_"):
            continue
        there = importlib.import_module(f"{place.__name__}.{module.name}")
        found += getattr(there, "PAGES", ()) or [there.PAGE]
    return tuple(sorted(found, key=lambda page: (page.order, page.path)))
