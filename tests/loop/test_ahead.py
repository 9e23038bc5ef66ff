"""The truth of forecasts: what later rows say, known when they say it, and learnt from only where no judged row has it too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import treadle as td
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import InvalidDeclaration, InvalidInput, RunFailed
from treadle.core.records import Window
from treadle.loop.ahead import apart, marked, origins
from treadle.loop.fitting import inputs_of, may_miss
from treadle.loop.frames import Frames
from treadle.loop.models import Model

BEGIN, DAYS = datetime(2025, 1, 6, tzinfo=UTC), 240
DAY = timedelta(days=1)
#: A day that is missing in one of the shops.
GAP = BEGIN + 50 * DAY
PROJECT = """
import treadle as td

sales = td.Dataset(
    "sales",
    source=td.Files("sales.parquet"),
    key=["shop", "day"],
    time="day",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3, group="week"),
)


@td.model(
    data=sales,
    target="sold",
    inputs=["sold", "sold_lag_1", "sold_lag_6"],
    task=td.Forecast(series="shop", horizon=2, every="1d", lags=[1, 6], season=7),
    baselines=[td.baselines.LastValue("sold", season=7)],
    gates=[td.gates.Beats("baseline", min_rows=50)],
    policy=td.Policy(triggers=[td.NewRows(100)]),
)
def sells(data, params, run):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), LinearRegression()).fit(data.train.X, data.train.y)
"""


def sales() -> pl.DataFrame:
    """What two shops sell each day: a little more or less than the day before."""
    random = np.random.default_rng(1)
    days = [BEGIN + number * DAY for number in range(DAYS)]
    parts = [
        pl.DataFrame({"shop": shop, "day": days, "sold": size * (9 + random.normal(size=DAYS).cumsum())})
        for shop, size in (("north", 1.0), ("south", 10.0))
    ]
    found = pl.concat(parts).filter((pl.col("shop") != "north") | (pl.col("day") != GAP))
    return found.with_columns(week=pl.col("day").dt.strftime("%G-%V")).sort("day", "shop")


def project(root: Path, text: str = PROJECT) -> Path:
    (root / "treadle.toml").write_text('[project]\nname = "sales"\n[compute]\nengine = "inline"\n')
    (root / "project.py").write_text(text)
    sales().write_parquet(root / "sales.parquet")
    return root


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_workspace(project(tmp_path_factory.mktemp("ahead"))) as workspace:
        workspace.datasets.ingest(workspace.project.dataset("sales"))
        yield workspace


def rows_of(workspace: Workspace, **more: Any) -> tuple[Model, pl.DataFrame]:
    model = workspace.project.model("sells")
    window = Window(start=more.pop("start", None), end=more.pop("end", BEGIN + DAYS * DAY))
    rows = Frames(workspace.datasets).rows(model, versions={"sales": 1}, window=window, **more)
    return model, rows


def test_a_truth_is_what_later_rows_say_and_a_gap_leaves_none(workspace: Workspace) -> None:
    _, rows = rows_of(workspace)
    sold = {(shop, day): value for shop, day, value in sales().select("shop", "day", "sold").iter_rows()}

    origins = {key for key in sold if all((key[0], key[1] + ahead * DAY) in sold for ahead in (1, 2))}
    assert set(rows.select("shop", "day").iter_rows()) == origins
    assert len(sold) - len(origins) == 2 * 2 + 2
    for shop, day, truth, one, six, scale in rows.select(
        "shop", "day", "_sold_ahead", "sold_lag_1", "sold_lag_6", "_scale"
    ).iter_rows():
        assert list(truth) == [sold[shop, day + DAY], sold[shop, day + 2 * DAY]]
        assert (one, six) == (sold.get((shop, day - DAY)), sold.get((shop, day - 6 * DAY)))
        moved = [
            abs(v - sold[s, d - 7 * DAY])
            for (s, d), v in sold.items()
            if s == shop and (s, d - 7 * DAY) in sold
        ]
        assert scale == pytest.approx(np.mean(moved))
        if day > BEGIN + 20 * DAY:
            break


def test_rows_that_come_more_often_than_steps_have_the_same_truths(workspace: Workspace) -> None:
    model, _ = rows_of(workspace)
    often = pl.concat([sales(), sales().with_columns(pl.col("day") + timedelta(hours=7), pl.col("sold") * 0)])

    plain, dense = (origins(values, model=model, task=model.task) for values in (sales(), often))

    on = ["shop", "day"]
    among = dense.sort(on).join(plain.select(on), on=on, how="semi")
    assert among.select(sorted(plain.columns)[:4]).equals(plain.sort(on).select(sorted(plain.columns)[:4]))
    assert dense.height == 2 * plain.height


def test_a_row_is_known_once_its_last_step_is(workspace: Workspace) -> None:
    model, frames = workspace.project.model("sells"), Frames(workspace.datasets)
    at = BEGIN + 100 * DAY + timedelta(hours=1)

    early, late = frames.known(model, 1, known_at=at), frames.known(model, 1)

    assert early.until == BEGIN + 98 * DAY + timedelta(microseconds=1)
    assert early.rows == 2 * 99 - 3
    assert late.until == BEGIN + (DAYS - 3) * DAY + timedelta(microseconds=1)
    _, rows = rows_of(workspace, known_at=at)
    assert rows["day"].max() == BEGIN + 98 * DAY
    assert rows.height == early.rows


def test_no_row_is_learnt_from_whose_truth_a_judged_row_shares(workspace: Workspace) -> None:
    model, rows = rows_of(workspace)

    kept = apart(model, rows, until=BEGIN + DAYS * DAY)

    def origins(frame: pl.DataFrame, *splits: str) -> set[tuple[str, datetime]]:
        return set(frame.filter(pl.col("_split").is_in(splits)).select("shop", "day").iter_rows())

    judged, test = origins(rows, "test", "validation"), origins(rows, "test")
    near = {(shop, day + off * DAY) for shop, day in judged for off in (-1, 0, 1)}
    nearer = {(shop, day + off * DAY) for shop, day in test for off in (-1, 0, 1)}
    assert origins(kept, "train") == origins(rows, "train") - near
    assert origins(kept, "validation") == origins(rows, "validation") - nearer
    assert origins(kept, "test") == test
    assert 0 < len(origins(rows, "train")) - len(origins(kept, "train")) < 100


def days_of(frame: pl.DataFrame, split: str) -> set[tuple[str, datetime]]:
    return set(frame.filter(pl.col("_split") == split).select("shop", "day").iter_rows())


def test_nothing_is_learnt_of_test_rows_that_are_judged_only_later_or_over_a_longer_window(
    workspace: Workspace,
) -> None:
    model, whole = rows_of(workspace)
    near = {(s, day + off * DAY) for s, day in days_of(whole, "test") for off in (-1, 0, 1)}

    for number in range(100, 121):
        moment = BEGIN + number * DAY
        _, then = rows_of(workspace, known_at=moment)
        _, since = rows_of(workspace, start=moment)

        assert not days_of(apart(model, then, until=moment), "train") & near
        assert not days_of(apart(model, since, until=BEGIN + DAYS * DAY), "train") & near


def test_a_series_without_a_name_is_one_too(workspace: Workspace) -> None:
    model, _ = rows_of(workspace)
    named = workspace.datasets.read("sales").filter(pl.col("shop") == "south")
    nameless = named.with_columns(pl.lit(None, pl.String).alias("shop"))

    found = marked(nameless, nameless, model=model, task=model.task)

    expected = marked(named, named, model=model, task=model.task)
    assert found["_near_judged"].to_list() == expected["_near_judged"].to_list()
    assert 0 < found["_near_judged"].sum() < found.height


def test_what_was_not_known_when_the_forward_test_began_is_not_learnt_from(workspace: Workspace) -> None:
    found, rows = rows_of(workspace)
    model = td.model(data=found.data, target="sold", task=found.task, forward="20d", name="later")(
        found.function
    )
    until = BEGIN + 200 * DAY

    kept = apart(model, rows, until=until)

    assert kept.filter(pl.col("_split") != "test")["day"].max() < until - 2 * DAY
    assert apart(found, rows, until=until).filter(pl.col("_split") == "train")["day"].max() > until


def test_a_split_of_single_rows_is_refused(tmp_path: Path) -> None:
    root, said = project(tmp_path, PROJECT.replace(', group="week"', "")), "overlaps that of .*group='week'"

    with open_workspace(root) as workspace, pytest.raises(RunFailed, match=said):
        workspace.run("sells")


def test_a_split_by_time_needs_no_other_embargo(tmp_path: Path) -> None:
    split = 'split=td.TimeSplit(validation="2025-06-01", test="2025-07-01")'
    text = PROJECT.replace('split=td.HashSplit(train=0.6, validation=0.1, test=0.3, group="week")', split)
    with open_workspace(project(tmp_path, text)) as workspace:
        workspace.datasets.ingest(workspace.project.dataset("sales"))
        model, rows = rows_of(workspace)
        kept = apart(model, rows, until=BEGIN + DAYS * DAY)
        turn = workspace.run("sells")

    assert kept.filter(pl.col("_split") == "train")["day"].max() == datetime(2025, 5, 30, tzinfo=UTC)
    assert kept.filter(pl.col("_split") == "validation")["day"].max() == datetime(2025, 6, 29, tzinfo=UTC)
    assert (
        turn.run.metrics["test.candidate.mae"]
        < turn.run.metrics["test.baseline:last_value_of_sold_7_ago.mae"]
    )
    assert turn.verdicts[0].method == "diebold_mariano"


def test_a_replay_forecasts_with_what_was_known(workspace: Workspace) -> None:
    found = workspace.replay("sells", step="20d")

    assert len(found.trainings) >= 2
    assert all(training.window.end <= training.at - 2 * DAY for training in found.trainings)
    assert found.loss["fresh"] < found.loss["baseline:last_value_of_sold_7_ago"]


def test_the_present_value_and_its_lags_are_inputs_and_what_only_baselines_need_is_not(
    workspace: Workspace,
) -> None:
    found, rows = rows_of(workspace)
    model = td.model(data=found.data, target="sold", task=found.task, name="plain")(found.function)

    assert inputs_of(model, rows.select("shop", "day", "sold", "week", *model.lags)) == (
        "sold",
        "week",
        "sold_lag_1",
        "sold_lag_6",
    )
    assert set(inputs_of(replace(found, inputs=()), rows)) == {"sold", "week", "sold_lag_1", "sold_lag_6"}
    assert inputs_of(replace(found, inputs=("week", "sold_lag_6")), rows) == (
        "week",
        "sold_lag_6",
        "sold_lag_1",
    )
    assert {"sold_lag_1", "sold_lag_6"} <= may_miss(model)
    assert "sold_lag_5" in rows.columns
    asked = workspace.features("sells", sales().tail(2).select("shop", "day", "sold"))
    assert asked["sold_lag_1"].null_count() == 0


def test_two_values_of_one_moment_are_refused(tmp_path: Path) -> None:
    root, said = project(tmp_path, PROJECT.replace('series="shop", ', "")), "two values of .* name `series`"

    with open_workspace(root) as workspace, pytest.raises(InvalidInput, match=said):
        workspace.run("sells")


@pytest.mark.parametrize(
    ("more", "said"),
    [({"outcome": "sold"}, "needs no outcome"), ({"time": None}, "needs the moment of each row")],
)
def test_a_dataset_that_cannot_be_forecast_is_refused(more: dict[str, Any], said: str) -> None:
    data = td.Dataset("d", **{"source": td.Files("d.csv"), "key": "id", "time": "day", **more})

    with pytest.raises(InvalidDeclaration, match=said):
        td.model(data=data, target="sold", task=td.Forecast())(lambda data, params, run: None)
