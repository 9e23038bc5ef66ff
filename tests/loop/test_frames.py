"""No value that arrived after a row's time reaches that row: neither its features nor what is predicted for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import InvalidDeclaration, RunFailed
from treadle.core.records import Window
from treadle.data.datasets import Dataset
from treadle.data.sources.files import Files
from treadle.loop import judging
from treadle.loop.frames import Frames
from treadle.loop.models import model as declare
from treadle.training.tasks.classification import Classification

ADDED = ["jam", "jams_6h", "worst_6h", "burden"]
BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
ORDERS, HOURS = 1500, 300
STAMP = "%Y-%m-%dT%H:%M:%SZ"

PROJECT = '''
from datetime import datetime

import polars as pl
import treadle as td


class Order(td.Contract):
    """An order to be delivered."""

    order_id: str
    placed_at: datetime
    town: str
    weight: float


class Delivery(td.Contract):
    """How it went, known later."""

    order_id: str
    delivered_at: datetime
    late: bool


class Traffic(td.Contract):
    """Traffic of an hour, known later; corrected at times."""

    town: str
    measured_at: datetime
    published_at: datetime
    jam: float


orders = td.Dataset(
    "orders",
    source=td.Files("landing/orders/*.csv"),
    contract=Order,
    key="order_id",
    time="placed_at",
    outcomes=td.Outcomes(
        source=td.Files("landing/deliveries/*.csv"), contract=Delivery, columns=["late"], arrived="delivered_at"
    ),
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)
traffic = td.FeatureView(
    "traffic",
    source=td.Files("landing/traffic/*.csv"),
    contract=Traffic,
    entity="town",
    time="measured_at",
    arrived="published_at",
    ttl="3h",
    fields=["jam"],
    aggregates={"jams_6h": td.aggregates.Count("jam", over="6h"), "worst_6h": td.aggregates.Max("jam", over="6h")},
)
burden = td.OnDemand(
    "burden", inputs={"weight": float, "worst_6h": float}, compute={"burden": pl.col("weight") * pl.col("worst_6h")}
)


@td.model(
    data=orders,
    features=[traffic, burden],
    target="late",
    inputs=["weight", "jam", "jams_6h", "worst_6h", "burden"],
    task=td.Classification(),
    policy=td.Policy(triggers=[td.NewRows(100)]),
)
def delay(data, params, run):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), LogisticRegression()).fit(data.train.X, data.train.y)
'''


def land(root: Path, part: str, frame: pl.DataFrame, *, name: str = "first") -> None:
    folder = root / "landing" / part
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_csv(folder / f"{name}.csv", datetime_format=STAMP)


def traffic(*, delay: timedelta) -> pl.DataFrame:
    chance = np.random.default_rng(1)
    measured = [BEGIN + timedelta(hours=hour) for hour in range(HOURS)]
    return pl.DataFrame(
        {
            "town": "Ghent",
            "measured_at": measured,
            "published_at": [at + delay for at in measured],
            "jam": chance.normal(size=HOURS).round(4),
        }
    )


def orders() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Orders and their deliveries, two days later each."""
    chance = np.random.default_rng(2)
    keys = [f"o{i}" for i in range(ORDERS)]
    placed = [BEGIN + timedelta(minutes=5 + i * 10) for i in range(ORDERS)]
    weight = chance.normal(size=ORDERS).round(4)
    late = chance.random(ORDERS) < 1 / (1 + np.exp(-weight))
    return (
        pl.DataFrame({"order_id": keys, "placed_at": placed, "town": "Ghent", "weight": weight}),
        pl.DataFrame(
            {"order_id": keys, "delivered_at": [at + timedelta(days=2) for at in placed], "late": late}
        ),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "treadle.toml").write_text('[project]\nname = "orders"\n[compute]\nengine = "inline"\n')
    (tmp_path / "project.py").write_text(PROJECT)
    placed, delivered = orders()
    land(tmp_path, "orders", placed)
    land(tmp_path, "deliveries", delivered)
    land(tmp_path, "traffic", traffic(delay=timedelta(minutes=20)))
    return tmp_path


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with open_workspace(root) as opened:
        yield opened


def joined(workspace: Workspace) -> pl.DataFrame:
    model = workspace.project.model("delay")
    versions = {name: workspace.datasets.version(name).version for name in ("orders", "traffic")}
    everything = Window(start=None, end=BEGIN + timedelta(days=365))
    rows = Frames(workspace.datasets).rows(model, versions=versions, window=everything)
    return rows.select("order_id", "placed_at", "town", "weight", *ADDED, "late")


def test_a_row_sees_the_newest_value_that_had_arrived(workspace: Workspace) -> None:
    workspace.ingest()

    rows = joined(workspace)

    values = {row["measured_at"]: row for row in traffic(delay=timedelta(minutes=20)).to_dicts()}
    assert rows.height == ORDERS
    for row in rows.to_dicts():
        seen = row["placed_at"] - timedelta(minutes=20)
        hour = seen.replace(minute=0, second=0, microsecond=0)
        assert row["jam"] == (values[hour]["jam"] if hour in values else None)
        window = [
            value["jam"]
            for at, value in values.items()
            if row["placed_at"] - timedelta(hours=6) <= at and value["published_at"] <= row["placed_at"]
        ]
        assert (row["jams_6h"], row["worst_6h"]) == (len(window), max(window, default=None))
        assert row["burden"] == (row["weight"] * row["worst_6h"] if window else None)


def test_values_that_arrived_later_change_no_feature_and_no_prediction(
    workspace: Workspace, root: Path
) -> None:
    workspace.run("delay")
    before = joined(workspace)
    version = workspace.models.get("delay/1")
    answers = judging.answers_with(workspace.models.load(version)).answer(before)

    # Values for moments between the known ones, and for the future, that only came at the very end.
    end = BEGIN + timedelta(hours=HOURS)
    late = traffic(delay=timedelta(minutes=20)).with_columns(
        measured_at=pl.col("measured_at") + timedelta(minutes=1),
        published_at=pl.lit(end),
        jam=pl.lit(1e6),
    )
    land(root, "traffic", late, name="second")
    workspace.ingest()

    after = joined(workspace)
    assert workspace.datasets.version("traffic").rows == 2 * HOURS
    assert after.equals(before)
    assert np.array_equal(judging.answers_with(workspace.models.load(version)).answer(after), answers)
    assert workspace.features("delay", before.drop(ADDED)).select(before.columns).equals(before)


def test_a_past_moment_knows_only_the_outcomes_of_its_time(workspace: Workspace) -> None:
    workspace.ingest()
    model = workspace.project.model("delay")
    frames = Frames(workspace.datasets)
    moment = BEGIN + timedelta(days=5)

    known = frames.known(model, 1, known_at=moment)
    rows = frames.rows(
        model,
        versions={"orders": 1, "traffic": 1},
        window=Window(start=None, end=moment),
        known_at=moment,
    )

    placed, _ = orders()
    expected = placed.filter(pl.col("placed_at") + timedelta(days=2) <= moment)
    assert known.rows == rows.height == expected.height
    assert known.until == expected["placed_at"].max() + timedelta(microseconds=1)  # type: ignore[operator]
    assert set(rows["order_id"]) == set(expected["order_id"])


def test_pinned_versions_stay_what_they_were(workspace: Workspace, root: Path) -> None:
    workspace.ingest()
    model = workspace.project.model("delay")
    frames, everything = Frames(workspace.datasets), Window(start=None, end=BEGIN + timedelta(days=365))
    pinned = {"orders": 1, "traffic": 1}
    before = frames.rows(model, versions=pinned, window=everything)

    # A correction of what was published: another value for the same moments, known ten minutes earlier.
    early = traffic(delay=timedelta(minutes=10)).with_columns(
        measured_at=pl.col("measured_at") + timedelta(minutes=1), jam=pl.lit(7.0)
    )
    land(root, "traffic", early, name="second")
    workspace.ingest()

    assert frames.rows(model, versions=pinned, window=everything).equals(before)
    assert not joined(workspace).equals(before.select(joined(workspace).columns))


def test_a_feature_on_demand_that_depends_on_other_rows_stops_the_training(root: Path) -> None:
    project = (root / "project.py").read_text()
    (root / "project.py").write_text(project.replace('pl.col("weight") *', 'pl.col("weight").rank() *'))

    with open_workspace(root) as workspace, pytest.raises(RunFailed, match="'burden' gives row"):
        workspace.run("delay")


def test_a_feature_is_a_view_or_on_demand() -> None:
    def train(data: object, params: object, run: object) -> None:
        """Train nothing."""

    data = Dataset("orders", source=Files("*.csv"), key="order_id", time="placed_at")
    with pytest.raises(InvalidDeclaration, match="expected td.FeatureView or td.OnDemand"):
        declare(data=data, target="late", task=Classification(), features=["jam"])(train)  # type: ignore[list-item]
