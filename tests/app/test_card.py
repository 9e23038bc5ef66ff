"""The card of a version says what is known, from every room, and what is not known stops nothing."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from treadle.app.card.page import page
from treadle.app.card.record import Card
from treadle.app.cli.main import main
from treadle.app.workspace import open_workspace
from treadle.loop.rescoring import Score

PROJECT = '''
from datetime import datetime

import treadle as td


class Order(td.Contract):
    id: str
    at: datetime
    size: float
    shop: str
    late: bool


orders = td.Dataset(
    "orders", source=td.Files("*.csv"), contract=Order, key="id", time="at", outcome="late",
    split=td.HashSplit(train=0.7, validation=0.1, test=0.2),
)


@td.model(
    data=orders, target="late", inputs=["size", "shop"], task=td.Classification(), forward="5d", seed=4,
    baselines=[td.baselines.Prior(by="shop")], gates=[td.gates.Beats("baseline")], params={"C": 0.5},
)
def delay(data, params, run):
    """Will an order be <late>?"""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = make_column_transformer((OneHotEncoder(), ["shop"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression(C=params["C"])).fit(data.train.X, data.train.y)
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose second version is the champion."""
    root = tmp_path_factory.mktemp("card")
    (root / "treadle.toml").write_text('[project]\nname = "shop"\n[compute]\nengine = "inline"\n')
    (root / "project.py").write_text(PROJECT)
    with open_workspace(root) as workspace:
        for week in (0, 1):
            land(root, week)
            workspace.run("delay", reason=f"week {week}")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of the project that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.fixture(scope="module")
def card(made: Path) -> Card:
    with open_workspace(made) as workspace:
        return workspace.card("delay@champion")


def land(root: Path, week: int) -> None:
    lines = ["id,at,size,shop,late"]
    for i in range(2000):
        size, shop = (i * 7919 % 101) / 100, "north" if i % 3 else "so<b>uth"
        late = (i * 104_729 % 97) / 97 < size
        lines.append(
            f"{week}-{i},2024-01-{1 + 14 * week + i % 14:02}T00:00:00Z,{size},{shop},{str(late).lower()}"
        )
    (root / f"{week}.csv").write_text("\n".join(lines))


def score(card: Card, contender: str, on: str, metric: str = "log_loss") -> Score:
    (found,) = [s for s in card.scores if (s.contender, s.on, s.metric) == (contender, on, metric)]
    return found


def test_a_card_says_what_its_run_said_with_intervals(card: Card, made: Path):
    with open_workspace(made) as workspace:
        run = workspace.runs.get(card.version.run)

    for on in ("test", "forward"):
        for contender in ("candidate", "baseline:prior_by_shop"):
            found = score(card, contender, on)
            assert found.value == pytest.approx(run.metrics[f"{on}.{contender}.log_loss"], rel=1e-12)
            assert found.low is not None
            assert found.high is not None
            assert found.low < found.value < found.high
    assert card.aliases == ("champion",)
    assert [(move.alias, move.previous) for move in card.moves] == [("champion", 1)]
    assert card.rows["train"] > card.rows["test"] > card.rows["forward"] > 0
    assert {s.slice for s in card.slices} == {"shop=north", "shop=so<b>uth"}
    assert [one.column for one in card.owed] == ["size", "shop"]
    assert [plot.title for plot in card.plots] == ["Reliability", "Precision and recall", "ROC"]
    assert {line.name for plot in card.plots for line in plot.lines} == {
        "candidate",
        "baseline:prior_by_shop",
    }
    assert all(plot.title in page(card) for plot in card.plots)
    assert card.owed[0].low is not None
    assert card.owed[0].low > 0
    assert card.package is not None
    assert card.package.golden > 100
    assert card.environment["packages"]["scikit-learn"]
    assert "+def delay" in card.diff
    assert (card.refused, card.missing) == ("", ())


class Reader(HTMLParser):
    """Reads a page: its headings, text, tags, and everything that it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.fetched += [
            v or "" for k, v in attrs if k in {"src", "srcset"} or (k == "href" and v and v[0] != "#")
        ]
        if tag not in {"meta", "br"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_nothing_of_the_data_becomes_a_tag(card: Card):
    found = Reader(page(card))

    assert found.fetched == []
    assert found.tags.isdisjoint({"script", "link", "img", "iframe", "b<"})
    assert "url(" not in page(card)
    assert "@import" not in page(card)
    assert "Will an order be <late>?" in found.text
    assert "shop=so<b>uth" in found.text
    for said in (
        "week 1",
        "prior_by_shop",
        "C",
        "0.5",
        "golden rows came out",
        card.version.digest,
        card.run.id,
    ):
        assert said in found.text
    for verdict in card.verdicts:
        assert verdict.reason in found.text


def test_what_was_turned_down_says_so(root: Path):
    text = (root / "project.py").read_text()
    (root / "project.py").write_text(text.replace("data.train.y)", "1 - data.train.y)"))
    with open_workspace(root) as workspace:
        workspace.run("delay")
        found = workspace.card("delay/3")

    assert found.limits[0] == "It was turned down: 1 gate said no."
    assert any("is better: log_loss" in limit for limit in found.limits)
    assert "turned down" in Reader(page(found)).text


def test_a_damaged_package_still_has_a_card(root: Path):
    with open_workspace(root) as workspace:
        digest = workspace.models.get("delay").digest.removeprefix("sha256:")
        shutil.rmtree(root / ".treadle/cache/packages", ignore_errors=True)
        (object_,) = (root / ".treadle").rglob(digest)
        object_.write_bytes(b"{}")

        found = workspace.card("delay")

    text = Reader(page(found)).text
    assert "is damaged" in found.refused
    assert found.limits[0].startswith("It does not load as it is")
    assert score(found, "candidate", "test").low is None
    assert "does not load" in text


def test_a_model_that_is_no_longer_declared_still_has_a_card(root: Path):
    (root / "project.py").write_text("")
    with open_workspace(root) as workspace:
        found = workspace.card("delay/1")

    assert "The declaration could not be read" in found.missing[0]
    assert score(found, "candidate", "test").low is None
    assert "went on to version 2" in Reader(page(found)).text


def test_the_command_writes_a_page_or_prints_the_numbers(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(root)

    assert typed("models", "card", "delay@champion") == 0
    told = capsys.readouterr().out
    assert "Wrote delay-2-card.html" in told
    assert "<title>delay, version 2: model card</title>" in (root / "delay-2-card.html").read_text()

    assert typed("models", "card", "delay/1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"]["version"] == 1
    assert not (root / "delay-1-card.html").exists()

    assert typed("models", "card", "delay", "--out", "nowhere/card.html") == 2
    assert "cannot be written to 'nowhere/card.html'" in capsys.readouterr().err
    assert typed("models", "card", "delay/9") == 3
    assert "Versions: 1 to 2" in capsys.readouterr().err


def typed(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)
