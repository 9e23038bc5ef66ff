"""Forgetting somebody, by the command: no byte of them stays in anything that Treadle keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import services
from treadle.app.cli.main import main
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import StoreUnavailable
from treadle.data import ingest, keyindex
from treadle.features.targets import Target

#: Who is forgotten, and what only they said.
WHO, SAID = "Zaphod-Beeblebrox", "Pan-Galactic-Gargle-Blaster"
_PROJECT = """
from datetime import datetime

import treadle as td


class Order(td.Contract):
    order: str
    customer: str
    placed_at: datetime
    updated: int
    amount: float = td.Column(ge=0)
    note: str
    paid: bool


orders = td.Dataset("orders", source=td.Files("orders/*.csv"), contract=Order, key="order", time="placed_at",
                    updated="updated", outcome="paid", split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
                    rules=[td.rules.Stable("note", within=0.9)])
habits = td.FeatureView("habits", source=td.Files("habits/*.csv"), entity="customer", time="seen_at",
                        fields=["visits", "drink"], aggregates={"drinks_7d": td.aggregates.Distinct("drink", over="7d")})


@td.model(data=orders, features=[habits], target="paid", inputs=["amount"], task=td.Classification())
def pays(data, params, run):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(data.train.X, data.train.y)
"""
Command = Callable[..., Any]


def land(root: Path, name: str, number: int, rows: pl.DataFrame) -> None:
    (root / name).mkdir(exist_ok=True)
    rows.write_csv(root / name / f"{number}.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")


def orders(customers: list[str], *, updated: int, first: int = 0, worst: float = 0.0) -> pl.DataFrame:
    """Return an order of each customer; one that is below 0 goes to quarantine."""
    amounts = np.random.default_rng(updated).random(len(customers)).round(3) + worst
    return pl.DataFrame(
        {
            "order": [f"{name}/{first + n}" for n, name in enumerate(customers)],
            "customer": customers,
            "placed_at": pl.Series(range(len(customers))).cast(pl.Datetime("ms")),
            "updated": updated,
            "amount": amounts,
            "note": [SAID if name == WHO else "nothing" for name in customers],
            "paid": [amount < 0.5 for amount in amounts],
        }
    )


def habits(customers: list[str], *, day: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "customer": customers,
            "seen_at": [day * 86_400_000 - 1] * len(customers),
            "visits": [float(n) for n in range(len(customers))],
            "drink": [SAID if name == WHO else "tea" for name in customers],
        }
    ).with_columns(pl.col("seen_at").cast(pl.Datetime("ms")))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online_url: str) -> Path:
    """A shop whose data has WHO in current rows, in history and in quarantine, and online; it has two model versions."""
    root = tmp_path / "shop"
    root.mkdir()
    (root / "treadle.toml").write_text('[compute]\nengine = "inline"\n')
    (root / "project.py").write_text(_PROJECT)
    monkeypatch.setenv("TREADLE_ONLINE__URL", online_url)
    monkeypatch.setenv("TREADLE_ONLINE__TIMEOUT", "10")
    # Key indexes are for large datasets: here everything is one.
    monkeypatch.setattr(ingest, "INDEXED", 0)
    monkeypatch.setattr(keyindex, "WORTH_WRITING", 0)
    land(root, "orders", 0, orders([f"c{n}" for n in range(300)], updated=1))
    land(root, "habits", 0, habits(["c1", "c2"], day=1))
    return root


@pytest.fixture
def treadle(root: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in the project, and return what it printed as JSON."""

    def command(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--project", str(root), "--json"])
        printed = capsys.readouterr()
        assert (end.value.code or 0) == code, printed.out + printed.err
        return json.loads(printed.out)

    return command


@pytest.fixture
def lived(root: Path, treadle: Command) -> Path:
    """Version 1 of the model has not seen WHO, version 2 has."""
    treadle("run")
    treadle("features", "materialise")
    land(root, "orders", 1, orders([WHO, WHO, "c7"], updated=1, first=300))
    land(root, "orders", 2, orders([WHO], updated=3, first=400, worst=-5.0))
    land(root, "habits", 1, habits([WHO, "c1"], day=2))
    treadle("run", "--force")
    land(root, "orders", 3, orders([WHO, WHO], updated=2, first=300))
    land(root, "habits", 2, habits([WHO], day=3))
    treadle("ingest")
    treadle("features", "materialise")
    return root


def traces(state: Path) -> list[str]:
    """Return the files that have WHO or what they said, as they are or within Parquet."""
    return [str(path) for path in sorted(state.rglob("*")) if path.is_file() and _has(path)]


def _has(path: Path) -> bool:
    data = path.read_bytes()
    if path.suffix == ".parquet":
        data += str(pl.read_parquet(path).rows()).encode()
    return any(text.encode() in data for text in (WHO, SAID))


@pytest.fixture
def elsewhere(online_url: str, request: pytest.FixtureRequest) -> Iterator[Callable[[], bytes]]:
    """What an online store outside of the project's folder holds, in memory and in its files."""
    if not online_url.startswith("redis"):
        folder = Path(online_url)
        yield lambda: b"".join(path.read_bytes() for path in folder.glob("*"))
        return
    server: services.PrivateRedis = request.getfixturevalue("redis_server")
    yield server.dump


@pytest.fixture
def opened(root: Path) -> Iterator[Workspace]:
    with open_workspace(root) as workspace:
        yield workspace


def test_nothing_of_somebody_stays_anywhere(
    lived: Path, treadle: Command, opened: Workspace, elsewhere: Callable[[], bytes]
) -> None:
    state, before = lived / ".treadle", elsewhere()
    places = {part for path in traces(state) for part in Path(path).relative_to(state).parts}

    (orders, habits) = (
        treadle("datasets", "forget", name, "--where", f"customer={WHO}", "--yes", "--reason", "asked for it")
        for name in ("orders", "habits")
    )
    treadle("collect", "datasets", "--keep-last", "0", "--younger-than", "0s", "--remove")

    assert list((state / "cache" / "keys").rglob("*.npy"))
    assert places >= {"rows", "rows_history", "quarantine", "ledger.db"}
    assert WHO.encode() in before
    assert SAID.encode() in before
    assert traces(state) == []
    assert not any(text.encode() in elsewhere() for text in (WHO, SAID))
    assert orders["models"] == habits["models"] == ["pays/2"]
    assert (orders["removed"], habits["removed"]) == (2, 2)
    assert opened.datasets.read("orders").height == 301
    read = opened.online.read(["habits"], {"customer": [WHO, "c1", "c2"]})
    assert read.columns["visits"] == [None, 1.0, 1.0]


@pytest.fixture
def served(root: Path, treadle: Command) -> Path:
    """A shop without a model version, whose feature view has WHO, also online."""
    land(root, "habits", 1, habits([WHO, "c1"], day=2))
    treadle("ingest", "habits")
    treadle("features", "materialise")
    return root


def test_nothing_is_forgotten_while_it_would_stay_online(
    served: Path, treadle: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = services.free_ports(1)
    gone = f"redis://127.0.0.1:{port}/0"
    monkeypatch.setenv("TREADLE_ONLINE__URL", gone)

    said = treadle("datasets", "forget", "habits", "--where", f"customer={WHO}", "--yes", code=5)["error"]

    expected = f"Nothing was forgotten, as it would stay online: The online store {gone}"
    assert said["message"].startswith(expected)
    assert treadle("datasets", "show", "habits")["versions"][-1]["removed"] == 0


def test_what_stayed_online_as_the_store_went_away_goes_once_it_is_back(
    served: Path, treadle: Command, monkeypatch: pytest.MonkeyPatch, elsewhere: Callable[[], bytes]
) -> None:
    def away(*_: object) -> None:
        msg = "The wire was cut."
        raise StoreUnavailable(msg)

    with monkeypatch.context() as cut:
        cut.setattr(Target, "note", away)
        said = treadle("datasets", "forget", "habits", "--where", f"customer={WHO}", "--yes", code=5)["error"]
    before = elsewhere()
    treadle("features", "materialise", "habits")
    treadle("collect", "datasets", "habits", "--remove")

    expected = "The rows are forgotten, but not yet in the online store: The wire was cut."
    assert said["message"].startswith(expected)
    assert WHO.encode() in before
    assert not any(text.encode() in elsewhere() for text in (WHO, SAID))
