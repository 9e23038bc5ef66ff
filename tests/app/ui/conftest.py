"""What a page is made from, over a project with a champion; and what a page says, as text."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

import shown_shop
import treadle as td
from treadle.app.ui.page import Seen
from treadle.app.workspace import Workspace
from treadle.core.people import Role, User

Look = Callable[..., Seen]


@pytest.fixture(scope="session")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a history."""
    return shown_shop.make(tmp_path_factory.mktemp("grown"))


@pytest.fixture
def history(grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The workspace of a copy of a project with a history; trainings run in this process."""
    root = tmp_path / "history"
    shutil.copytree(grown, root)
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    with td.open(root) as opened:
        yield opened


@pytest.fixture
def workspace(shop: Path) -> Iterator[Workspace]:
    """The workspace of a copy of a project with a champion."""
    with td.open(shop) as opened:
        yield opened


@pytest.fixture
def look(workspace: Workspace) -> Look:
    """Return what a page is made from when somebody looks at an address."""

    def looked(
        address: str = "/", *, within: Workspace | None = None, role: Role = "admin", **path: str
    ) -> Seen:
        pairs = parse_qsl(urlsplit(address).query)
        shown = within or workspace
        return Seen(
            workspace=shown,
            path=path,
            query=dict(reversed(pairs)),
            all={name: tuple(v for n, v in pairs if n == name) for name, _ in pairs},
            user=User(name="ann", role=role),
            now=shown.clock.now(),
            csrf="token",
            address=address,
        )

    return looked


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

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


@pytest.fixture
def said() -> type[Text]:
    """Read a page."""
    return Text
