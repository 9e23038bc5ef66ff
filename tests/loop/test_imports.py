"""A model that was trained elsewhere becomes a version like any other, or leaves nothing behind."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import treadle as td
from treadle.app.card.page import page
from treadle.app.cli.main import main
from treadle.app.workspace import open_workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import Busy, InvalidInput, NotFound, PackageRefused, UnsafeFormat
from treadle.core.signature import Field, Signature

PROJECT = """
import treadle as td


class Order(td.Contract):
    id: str
    size: float
    count: int
    shop: str
    late: bool


orders = td.Dataset(
    "orders", source=td.Files("*.csv"), contract=Order, key="id", outcome="late",
    split=td.HashSplit(train=0.6, validation=0.1, test=0.3),
)


@td.model(
    data=orders, target="late", inputs=["size", "count"], task=td.Classification(),
    baselines=[td.baselines.Prior()], gates=[td.gates.Beats("baseline")],
)
def delay(data, params, run):
    raise RuntimeError("it is never trained here")
"""
ROWS = 1500


def rows() -> pl.DataFrame:
    random = np.random.default_rng(7)
    size, count = random.uniform(0, 1, ROWS).round(3), random.integers(0, 9, ROWS)
    late = random.uniform(0, 1, ROWS) < 1 / (1 + np.exp(4 - 6 * size - 0.2 * count))
    columns = {"id": [f"o{i}" for i in range(ROWS)], "size": size, "count": count, "shop": "north"}
    return pl.DataFrame(columns | {"late": late})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("elsewhere")
    (root / "treadle.toml").write_text('[compute]\nengine = "inline"\n')
    (root / "project.py").write_text(PROJECT)
    rows().write_csv(root / "orders.csv")
    with open_workspace(root) as workspace:
        workspace.ingest()
    return root


@pytest.fixture
def root(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "shop"))


@pytest.fixture
def ws(root):
    with open_workspace(root) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def fitted():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(rows().select("size", "count").to_numpy(), rows()["late"].to_numpy())


@pytest.fixture(scope="module")
def booster(tmp_path_factory) -> Path:
    import xgboost

    data = xgboost.DMatrix(rows().select("size", "count").to_numpy(), rows()["late"].to_numpy())
    path = tmp_path_factory.mktemp("xgboost") / "delay.ubj"
    xgboost.train({"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, data, 5).save_model(path)
    return path


def test_a_fitted_object_becomes_a_version_that_answers(ws, fitted):
    done = ws.import_model(fitted, "delay", reason="from the lab", actor="anna")
    ws.promote("delay/1", reason="it is good")

    run = ws.runs.get(done.version.run)
    with ws.predictor("delay") as predictor:
        answer = predictor.predict({"size": 0.9, "count": 3})
    assert answer["probability"] == pytest.approx(fitted.predict_proba([[0.9, 3]])[0, 1], abs=1e-5)
    assert (done.version.format, done.version.signature.names) == ("onnx", ("size", "count"))
    assert (
        run.reason == "from the lab: imported by anna from sklearn.linear_model._logistic.LogisticRegression"
    )
    assert (run.status, run.model_version, bool(run.environment)) == ("succeeded", 1, True)
    assert ws.models.listing(done.version).golden > 50


def test_gates_decide_about_an_import_as_about_a_candidate(ws, booster):
    done = ws.import_model(booster, "delay", judge=True, actor="anna")

    (verdict,) = done.verdicts
    run = ws.runs.get(done.version.run)
    assert verdict.passed
    assert [(one.id, one.run) for one in ws.verdicts.list(run=run.id)] == [(verdict.id, run.id)]
    assert done.version.ref in verdict.parents
    assert ws.models.aliases("delay") == {"champion": 1}
    assert run.metrics["test.candidate.log_loss"] < run.metrics["test.baseline:prior.log_loss"]
    assert run.parents[0] == f"file:{run.origin.digest}"
    assert ws.models.get("delay/1").parents[:2] == (run.ref, run.parents[0])


def test_gates_turn_an_import_down(ws):
    from sklearn.dummy import DummyClassifier

    poor = DummyClassifier().fit(np.zeros((4, 2)), [False, True, True, True])
    done = ws.import_model(poor, "delay", judge=True, allow_pickle=True)

    assert not done.verdicts[0].passed
    assert ws.runs.get(done.version.run).status == "rejected"
    assert ws.models.aliases("delay") == {}


def test_its_card_says_that_it_was_trained_elsewhere(ws, booster):
    done = ws.import_model(booster, "delay", judge=True, actor="anna")

    card = ws.card("delay/1")
    text = page(card)
    assert any(limit.startswith("It was trained elsewhere") for limit in card.limits)
    assert f"Imported by anna from delay.ubj ({ws.runs.get(done.version.run).origin.digest})" in text
    assert "rows trained on" not in text


def test_an_import_leaves_the_policy_as_due_as_it_was(ws, fitted):
    before = ws.decisions.facts(ws.project.model("delay"))

    ws.import_model(fitted, "delay")

    after = ws.decisions.facts(ws.project.model("delay"))
    assert (after.last_run, after.new_rows) == (before.last_run, before.new_rows)


def test_its_run_cannot_be_made_again(ws, fitted):
    done = ws.import_model(fitted, "delay")

    with pytest.raises(InvalidInput, match="trained nothing"):
        ws.rerun(done.version.run)


def test_the_same_again_makes_no_second_version(ws, booster):
    first = ws.import_model(booster, "delay")
    second = ws.import_model(booster, "delay")

    assert second.version == first.version
    assert len(ws.models.versions("delay")) == 1


def test_two_at_once_make_one_version_each_or_are_told_to_wait(root, booster):
    def bring(_: int) -> str:
        with open_workspace(root) as workspace:
            try:
                return workspace.import_model(booster, "delay").version.ref
            except Busy:
                return "busy"

    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(bring, range(2)))

    assert "model_version:delay/1" in found
    with open_workspace(root) as workspace:
        assert len(workspace.models.versions("delay")) == 1


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"digest": "sha256:" + "0" * 64}, PackageRefused, "altered"),
        ({"inputs": ["size"]}, InvalidInput, "takes 2 columns"),
        ({"inputs": ["size", "shop"]}, InvalidInput, "'shop'"),
        ({"inputs": ["size", "size"]}, InvalidInput, "twice"),
        ({"task": td.Regression()}, InvalidInput, "declared as classification"),
        ({"sample": pl.DataFrame({"size": [0.1], "count": ["x"]})}, InvalidInput, "'count' is string"),
        ({"sample": pl.DataFrame({"size": [], "count": []})}, InvalidInput, "no rows"),
        ({"sample": pl.DataFrame({"size": [0.1, None], "count": [1, 2]})}, InvalidInput, "'size'"),
        (
            {"sample": pl.DataFrame({"size": [0.1], "count": [1]}), "expected": np.array([0.987])},
            PackageRefused,
            "differently from where it was trained",
        ),
    ],
    ids=["digest", "too few", "not declared", "twice", "task", "kind", "empty", "missing", "answers"],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(ws, booster, changes, error, said):
    with pytest.raises(error, match=said):
        ws.import_model(booster, "delay", **changes)

    assert ws.models.names() == []
    assert ws.runs.list() == []


class Danger:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.skops", "model.ubj", "model.onnx"])
def test_a_pickle_is_refused_whatever_it_is_called(ws, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(pickle.dumps(Danger()))

    with pytest.raises(UnsafeFormat, match=r"mkdir"):
        ws.import_model(name, "delay")

    assert not Path("executed").exists()
    assert ws.models.names() == []


def test_a_pickle_is_read_by_leave_and_becomes_safe_where_it_can(ws, tmp_path, fitted):
    (tmp_path / "delay.pkl").write_bytes(pickle.dumps(fitted))

    done = ws.import_model(tmp_path / "delay.pkl", "delay", allow_pickle=True)

    assert done.version.format == "onnx"


def test_a_model_that_no_declaration_describes_needs_a_task_and_rows(ws, tmp_path):
    import lightgbm

    frame = rows()
    data = lightgbm.Dataset(frame.select("size", "count").to_numpy(), frame["size"].to_numpy() * 3)
    params = {"objective": "regression", "verbose": -1, "num_threads": 1, "num_leaves": 4}
    lightgbm.train(params, data, 5).save_model(tmp_path / "price.txt")
    with pytest.raises(InvalidInput, match="the task is missing"):
        ws.import_model(tmp_path / "price.txt", "price")

    done = ws.import_model(
        tmp_path / "price.txt", "price", task=td.Regression(), sample=frame, inputs=["size", "count"]
    )
    ws.promote("price/1", reason="new")

    with ws.predictor("price") as predictor:
        assert predictor.predict({"size": 0.5, "count": 1})["prediction"] == pytest.approx(1.5, abs=0.7)
    assert (done.version.dataset, done.version.task) == ("", "regression")
    assert ws.card("price/1").limits
    assert ws.status().models


def test_a_signature_says_what_the_sample_does_not_show(ws, booster):
    inputs = (Field(name="size", kind="float", nullable=True), Field(name="count", kind="float"))
    sample = rows().select("size", "count")

    done = ws.import_model(
        booster, "other", task=td.Classification(), sample=sample, signature=Signature(inputs=inputs)
    )

    assert done.version.signature.inputs == inputs


def test_a_missing_file_is_named(ws):
    with pytest.raises(NotFound, match=r"nowhere\.ubj"):
        ws.import_model("nowhere.ubj", "delay")


KILLED = """
import os, signal, sys
from pathlib import Path
from treadle.app.workspace import open_workspace
from treadle.store.objects.objects import Objects
from treadle.training.runs import Runs

kind, name, left = {"noted": (Objects, "put", 1), "registered": (Runs, "finish", 1)}[sys.argv[1]]
call = getattr(kind, name)

def dies(*given, **named):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*given, **named)

setattr(kind, name, dies)
with open_workspace(sys.argv[2]) as workspace:
    workspace.import_model(sys.argv[3], "delay")
"""


def test_a_kill_before_anything_is_stored_leaves_nothing(root, booster):
    done = subprocess.run([sys.executable, "-c", KILLED, "noted", str(root), str(booster)], check=False)

    assert done.returncode == -signal.SIGKILL
    with open_workspace(root) as workspace:
        assert (workspace.models.names(), workspace.runs.list()) == ([], [])
        assert workspace.collect(what=["models"]).loose == ()


def test_a_kill_before_the_end_leaves_what_is_collected(root, booster):
    done = subprocess.run([sys.executable, "-c", KILLED, "registered", str(root), str(booster)], check=False)

    assert done.returncode == -signal.SIGKILL
    later = ManualClock(datetime.now(UTC) + timedelta(hours=2))
    with open_workspace(root, clock=later) as workspace:
        assert (workspace.models.names(), workspace.runs.list()) == ([], [])
        (left,) = workspace.collect(what=["models"]).loose
        workspace.collect(what=["models"], dry_run=False)
        assert (left.model, left.of) == ("delay", "an import that did not end")
        assert workspace.collect(what=["models"]).loose == ()
        assert not workspace.objects.exists(left.digest)
        assert workspace.import_model(booster, "delay").version.version == 1
        assert workspace.collect(what=["models"]).loose == ()


def test_the_command_imports_and_says_what_became_of_it(root, booster, tmp_path, capsys):
    sample = rows().select("size", "count").head(20)
    sample.with_columns(was=pl.lit(0.5)).write_csv(tmp_path / "rows.csv")
    common = ["models", "import", str(booster), "--model", "delay", "-C", str(root)]

    with pytest.raises(SystemExit, match="0"):
        main([*common, "--judge", "--by", "anna", "--json"])
    said = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit, match="1"):
        main([*common, "--sample", str(tmp_path / "rows.csv"), "--answers", "was"])

    assert said["version"]["version"] == 1
    assert "differently from where it was trained" in capsys.readouterr().err
