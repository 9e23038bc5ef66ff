"""What each input adds to a packaged model's answers: exact for trees and linear models, whatever stands before them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shapley_oracle import by_definition
from treadle.app.card.page import page
from treadle.app.cli.main import main
from treadle.app.workspace import open_workspace
from treadle.core.answers import numbers
from treadle.core.errors import InvalidInput
from treadle.core.signature import Field, Signature, decode_frame, field_of
from treadle.evaluation.contributions import contributions
from treadle.registry import packages
from treadle.registry.insides import insides
from treadle.store.objects.objects import Objects

RANDOM = np.random.default_rng(3)
SIZE = 400
WIND = RANDOM.normal(10, 5, SIZE).astype(np.float32)
WIND[::13] = np.nan
FRAME = pl.DataFrame(
    {"carrier": RANDOM.choice(["AA", "B6", "UA"], SIZE), "wind": WIND, "miles": RANDOM.integers(1, 900, SIZE)}
)
LATE = ((FRAME["carrier"] == "UA").to_numpy() ^ (np.nan_to_num(WIND, nan=20.0) > 12)).astype(int)
LATE[::7] ^= 1
INPUTS = tuple(field_of(column) for column in FRAME)
YES_NO = Signature(
    inputs=INPUTS, outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))
)
NUMBER = Signature(inputs=INPUTS, outputs=(Field(name="prediction", kind="float"),))
WHICH = Signature(
    inputs=INPUTS,
    outputs=(
        Field(name="prediction", kind="integer"),
        Field(name="probabilities", kind="float", columns=("0", "1", "2")),
    ),
)
X = decode_frame(INPUTS, YES_NO.encode(FRAME))


def encoded(last, *, impute=False):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    numeric = make_pipeline(SimpleImputer(add_indicator=True)) if impute else "passthrough"
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier"]),
        (numeric, ["wind", "miles"]),
    )
    return make_pipeline(columns, last)


def _boosted(rows, y):
    import xgboost

    return encoded(xgboost.XGBClassifier(n_estimators=12, max_depth=3, n_jobs=1)).fit(rows, y)


def _histogram(rows, y):
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    columns = make_column_transformer((OrdinalEncoder(), ["carrier"]), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=8, categorical_features=[0])).fit(
        rows, y
    )


def _wood(rows, y):
    from sklearn.ensemble import RandomForestClassifier

    return encoded(RandomForestClassifier(8, max_depth=5, random_state=0), impute=True).fit(rows, y)


def _amount(rows, y):
    import lightgbm

    model = lightgbm.LGBMRegressor(n_estimators=10, num_leaves=6, verbose=-1, n_jobs=1)
    return encoded(model).fit(rows, y + rows["miles"].to_numpy() / 300)


def _classes(rows, y):
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(n_estimators=4, random_state=0)
    return encoded(model, impute=True).fit(rows, y + (rows["miles"].to_numpy() > 600))


def _line(rows, y):
    from sklearn.linear_model import LogisticRegression

    return encoded(LogisticRegression(max_iter=500), impute=True).fit(rows, y)


CASES = {
    "boosted": (_boosted, "classification", YES_NO, "trees", "log-odds"),
    "histogram": (_histogram, "classification", YES_NO, "trees", "log-odds"),
    "forest": (_wood, "classification", YES_NO, "trees", "probability"),
    "amount": (_amount, "regression", NUMBER, "trees", "value"),
    "classes": (_classes, "multiclass", WHICH, "trees", "log-odds"),
    "line": (_line, "classification", YES_NO, "additive", "log-odds"),
}


def packed(model, task, signature, folder):
    given = model.predict(X) if task == "regression" else model.predict_proba(X)
    objects = Objects.open("objects", root=folder, options={})
    made = packages.pack(
        model,
        task=task,
        signature=signature,
        golden=X,
        expected=given[:, 1] if task == "classification" else given,
        objects=objects,
    )
    manifest, contents = packages.read(made.digest, objects=objects, cache=folder)
    return insides(manifest, contents, allow_pickle=False)


def answering(seen, signature):
    def predict(frame):
        columns = {
            c.name: np.array(c.to_list(), dtype=object) if c.dtype == pl.String else c.to_numpy()
            for c in frame
        }
        return numbers(seen.servable.predict(columns), signature)

    return predict


def on_scale(predict, scale):
    def answer(frame):
        given = predict(frame).reshape(frame.height, -1)
        if scale != "log-odds":
            return given
        return (
            np.log(given / (1 - given))
            if given.shape[1] == 1
            else np.log(given) - np.log(given).mean(1)[:, None]
        )

    return answer


@pytest.mark.parametrize("case", CASES)
def test_a_packaged_model_is_explained_as_the_definition_says(case, tmp_path):
    fit, task, signature, method, scale = CASES[case]
    seen = packed(fit(X, LATE), task, signature, tmp_path)
    predict = answering(seen, signature)
    columns = signature.outputs[-1].columns

    found = contributions(
        predict,
        X[:40],
        X[100:160],
        likely=task != "regression",
        outputs=columns,
        forest=seen.forest,
        own=seen.own,
    )

    answer = on_scale(predict, scale)
    exact = by_definition(answer, X[:40], X[100:160])
    assert (found.method, found.scale) == (method, scale)
    assert np.allclose(found.values.sum(axis=1) + found.base, answer(X[:40]), atol=1e-6)
    assert np.allclose(found.values, exact, atol=1e-6)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_a_library_that_explains_itself_is_asked(library, tmp_path):
    rows, numeric = X.drop("carrier"), Signature(inputs=INPUTS[1:], outputs=NUMBER.outputs)
    files, model = _native(library, rows)
    from treadle.core import plugins

    own = plugins.load("format", library).contributions(files, signature=numeric)

    found = contributions(model, rows[:50], rows[50:], own=own)

    assert found.method == "library"
    assert np.allclose(found.values.sum(axis=1)[:, 0] + found.base[0], model(rows[:50]), rtol=1e-4, atol=1e-4)


def _native(library, rows):
    given, target = rows.to_numpy(), LATE * np.nan_to_num(WIND) + rows["miles"].to_numpy() / 100
    if library == "xgboost":
        import xgboost

        model = xgboost.XGBRegressor(n_estimators=6, max_depth=3, n_jobs=1).fit(given, target)
        files = {"model.ubj": bytes(model.get_booster().save_raw("ubj")), "about.json": b'{"missing": null}'}
    elif library == "lightgbm":
        import lightgbm

        model = lightgbm.LGBMRegressor(n_estimators=6, verbose=-1, n_jobs=1).fit(given, target)
        files = {"model.txt": model.booster_.model_to_string().encode()}
    else:
        import catboost

        model = catboost.CatBoostRegressor(iterations=6, verbose=0, allow_writing_files=False, thread_count=1)
        model.fit(given, target)
        files = {"model.cbm": model._serialize_model()}
    return files, lambda frame: np.asarray(model.predict(frame.to_numpy()), dtype=np.float64)


def test_the_shap_package_says_the_same(tmp_path):
    shap = pytest.importorskip("shap", reason="shap is not installed: make deep")
    import xgboost

    rows = X.drop("carrier")
    numeric = Signature(inputs=INPUTS[1:], outputs=YES_NO.outputs)
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1).fit(rows.to_numpy(), LATE)
    objects = Objects.open("objects", root=tmp_path, options={})
    made = packages.pack(
        model,
        task="classification",
        signature=numeric,
        golden=rows,
        expected=model.predict_proba(rows.to_numpy())[:, 1],
        objects=objects,
    )
    manifest, contents = packages.read(made.digest, objects=objects, cache=tmp_path)
    seen = insides(manifest, contents, allow_pickle=False)

    found = contributions(answering(seen, numeric), rows[:60], rows[200:300], likely=True, forest=seen.forest)

    reference = shap.TreeExplainer(
        model, data=rows[200:300].to_numpy(), feature_perturbation="interventional"
    ).shap_values(rows[:60].to_numpy())
    assert np.allclose(found.values[:, :, 0], reference, atol=1e-4)


PROJECT = """
import treadle as td

flights = td.Dataset("flights", source=td.Files("*.parquet"), key="id", outcome="late", split=td.HashSplit(train=0.5, validation=0.1, test=0.4))


@td.model(data=flights, target="late", inputs=["carrier", "wind"], task=td.Classification())
def delay(data, params, run):
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = make_column_transformer((OneHotEncoder(), ["carrier"]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression()).fit(data.train.X, data.train.y)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("explained")
    (root / "treadle.toml").write_text('[compute]\nengine = "inline"\n')
    (root / "project.py").write_text(PROJECT)
    wind = pl.Series("wind", np.nan_to_num(WIND, nan=20.0))
    frame = FRAME.with_columns(wind, pl.Series("late", LATE.astype(bool)), pl.int_range(SIZE).alias("id"))
    frame.write_parquet(root / "rows.parquet")
    with open_workspace(root) as workspace:
        workspace.run("delay")
    return root


def test_a_version_is_explained_on_its_test_rows_and_by_slice(root):
    with open_workspace(root) as workspace:
        found = workspace.explain("delay@champion", by="carrier")
        card = workspace.card("delay@champion")

    summary = found.summary()
    assert set(summary["slice"]) == {"", "carrier=AA", "carrier=B6", "carrier=UA"}
    assert found.method == "additive"
    assert [one.column for one in card.explained.inputs] == summary.filter(slice="")["column"].to_list()
    assert "What an input adds to its answers" in page(card)


def test_rows_that_do_not_fit_are_refused(root):
    with open_workspace(root) as workspace, pytest.raises(InvalidInput, match="'wind'"):
        workspace.explain("delay@champion", pl.DataFrame({"carrier": ["AA"]}))


def test_the_command_explains_and_writes_each_row(root, tmp_path, capsys):
    FRAME.head(5).with_columns(pl.lit(3.0).alias("wind")).write_csv(tmp_path / "rows.csv")
    out = tmp_path / "each.csv"
    command = ["models", "explain", "delay", "--rows", str(tmp_path / "rows.csv"), "-C", str(root)]

    with pytest.raises(SystemExit, match="0"):
        main([*command, "--out", str(out), "--json"])
    said = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit, match="0"):
        main(command)

    each = pl.read_csv(out)
    assert {one["column"] for one in said["inputs"]} == {"carrier", "wind"}
    assert each.height == 5
    assert np.allclose(each["carrier"] + each["wind"] + each["_base"], each["_answer"])
    assert "mean |log-odds|" in capsys.readouterr().out
