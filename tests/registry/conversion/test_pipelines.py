"""Converted pipelines answer as scikit-learn does on every row, above all on rows at the trees' own splits."""

import warnings

import numpy as np
import onnxruntime
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from treadle.core.answers import numbers
from treadle.core.signature import Field, Signature, decode_frame
from treadle.registry.conversion.boundaries import boundary_rows
from treadle.registry.conversion.graph import Unconvertible
from treadle.registry.conversion.pipelines import conversions
from treadle.registry.format import TOLERANCE, differences
from treadle.registry.formats.onnx import OnnxModel
from treadle.registry.formats.sklearn import NativeModel

CLASSIFIED = (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))
ESTIMATED = (Field(name="prediction", kind="float"),)
INPUTS = (
    Field(name="carrier", kind="category", levels=("AA", "UA")),
    Field(name="origin", kind="string", nullable=True),
    Field(name="distance", kind="integer"),
    Field(name="landed_at", kind="timestamp"),
    Field(name="seats", kind="integer", nullable=True),
    Field(name="temp", kind="float"),
    Field(name="wind", kind="float", nullable=True),
    Field(name="holiday", kind="boolean"),
)
STRINGS, NUMBERS = ["carrier", "origin"], ["distance", "landed_at", "seats", "temp", "wind", "holiday"]


def rows_of(count: int, *, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    wind, seats = rng.normal(10, 5, count).astype(np.float32), rng.integers(1, 9, count).astype(np.float32)
    wind[rng.random(count) < 0.1], seats[rng.random(count) < 0.1] = np.nan, np.nan
    return {
        "carrier": rng.choice(np.array(["AA", "B6", "UA", "9E", "née"], dtype=object), count),
        "origin": rng.choice(np.array(["EWR", "JFK", ""], dtype=object), count),
        "distance": rng.integers(80, 5000, count),
        "landed_at": 1_357_000_000_000_000 + rng.integers(0, 31_536_000, count) * 1_000_000,
        "seats": seats,
        "temp": rng.normal(50, 20, count).astype(np.float32),
        "wind": wind,
        "holiday": rng.integers(0, 2, count).astype(np.float32),
    }


def encoded() -> ColumnTransformer:
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier"]),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["origin"]),
        (StandardScaler(), ["temp", "wind"]),
        remainder="passthrough",
    )


def imputed() -> ColumnTransformer:
    return make_column_transformer(
        (
            make_pipeline(
                SimpleImputer(missing_values="", strategy="most_frequent"),
                OneHotEncoder(drop="first", handle_unknown="ignore"),
            ),
            STRINGS,
        ),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["wind", "seats", "temp"]),
        (MinMaxScaler(clip=True), ["distance"]),
        (FunctionTransformer(), ["holiday"]),
    )


def infrequent() -> ColumnTransformer:
    return make_column_transformer(
        (OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.25), STRINGS),
        (
            OrdinalEncoder(
                handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=-5
            ),
            ["seats", "holiday"],
        ),
        (make_pipeline(SimpleImputer(strategy="median"), MinMaxScaler()), ["temp", "wind"]),
        ("drop", ["landed_at"]),
        ("passthrough", ["distance"]),
    )


def numbered() -> ColumnTransformer:
    return make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), STRINGS),
        ("passthrough", NUMBERS),
    )


def filled() -> ColumnTransformer:
    return make_column_transformer((SimpleImputer(strategy="constant", fill_value=-1), NUMBERS))


CLASSIFIERS = {
    "boosted histograms": lambda: make_pipeline(encoded(), HistGradientBoostingClassifier(max_iter=40)),
    "boosted histograms, imputed": lambda: make_pipeline(
        imputed(), FunctionTransformer(), HistGradientBoostingClassifier(max_iter=40)
    ),
    "boosted histograms, categories": lambda: make_pipeline(
        numbered(), HistGradientBoostingClassifier(max_iter=40, categorical_features=[0, 1])
    ),
    "boosted histograms, categories by name": lambda: HistGradientBoostingClassifier(
        max_iter=20, categorical_features=STRINGS
    ),
    "boosted": lambda: make_pipeline(imputed(), GradientBoostingClassifier(n_estimators=30)),
    "boosted, exponential": lambda: make_pipeline(
        imputed(), GradientBoostingClassifier(n_estimators=9, loss="exponential")
    ),
    "boosted, from zero": lambda: make_pipeline(
        imputed(), GradientBoostingClassifier(n_estimators=9, init="zero")
    ),
    "forest": lambda: make_pipeline(encoded(), RandomForestClassifier(20, max_depth=7)),
    "extra trees": lambda: make_pipeline(
        infrequent(), SimpleImputer(), ExtraTreesClassifier(10, max_depth=7)
    ),
    "tree": lambda: make_pipeline(encoded(), DecisionTreeClassifier(max_depth=6)),
    "a tree that is one leaf": lambda: make_pipeline(encoded(), DecisionTreeClassifier(min_samples_leaf=900)),
    "logistic": lambda: make_pipeline(infrequent(), SimpleImputer(), StandardScaler(), LogisticRegression()),
    "searched": lambda: GridSearchCV(
        make_pipeline(imputed(), LogisticRegression(max_iter=500)),
        {"logisticregression__C": [0.1, 1.0]},
        cv=2,
    ),
}
REGRESSORS = {
    "boosted histograms": lambda: make_pipeline(encoded(), HistGradientBoostingRegressor(max_iter=40)),
    "boosted histograms, poisson": lambda: make_pipeline(
        encoded(), HistGradientBoostingRegressor(max_iter=20, loss="poisson")
    ),
    "boosted": lambda: make_pipeline(imputed(), GradientBoostingRegressor(n_estimators=30)),
    "forest": lambda: make_pipeline(filled(), RandomForestRegressor(10, max_depth=7)),
    "tree": lambda: make_pipeline(encoded(), DecisionTreeRegressor(max_depth=6)),
    "ridge": lambda: make_pipeline(imputed(), Ridge()),
    "linear": lambda: make_pipeline(imputed(), LinearRegression()),
    "elastic net": lambda: make_pipeline(imputed(), ElasticNet(alpha=0.01)),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_alike(name):
    signature = Signature(inputs=INPUTS, outputs=CLASSIFIED)
    model = CLASSIFIERS[name]().fit(frame(signature, seed=0), target(seed=0) > 0)

    assert_alike(model, "classification", signature)


def three(seed):
    """The target in three classes, the last of them rare."""
    return np.digitize(target(seed=seed), np.quantile(target(seed=seed), [0.4, 0.9]))


SEVERAL = [
    name for name in CLASSIFIERS if name not in {"boosted, exponential", "boosted histograms, imputed"}
]


@pytest.mark.parametrize("name", SEVERAL)
def test_a_classifier_of_several_classes_answers_alike(name):
    columns = ("0", "1", "2")
    scored = Field(name="probabilities", kind="float", columns=columns)
    signature = Signature(inputs=INPUTS, outputs=(Field(name="prediction", kind="integer"), scored))
    model = CLASSIFIERS[name]().fit(frame(signature, seed=0), three(seed=0))

    assert_alike(model, "multiclass", signature)


@pytest.mark.parametrize("classes", [[0, 2], [2, 1], [0, 1, 2]])
def test_classes_that_the_estimator_lacks_get_nothing(classes):
    scored = Field(name="probabilities", kind="float", columns=("low", "mid", "high"))
    signature = Signature(inputs=INPUTS, outputs=(Field(name="prediction", kind="category"), scored))
    y = np.array(classes)[three(seed=0) % len(classes)]
    model = make_pipeline(encoded(), DecisionTreeClassifier(max_depth=4)).fit(frame(signature, seed=0), y)

    assert_alike(model, "multiclass", signature)
    given = NativeModel(model, task="multiclass", signature=signature).predict(rows_of(50, seed=2))
    assert given["probabilities"].sum(axis=1) == pytest.approx(1)
    assert set(np.flatnonzero(given["probabilities"].any(axis=0))) == set(classes)


LABELLED = {
    "one against the rest": lambda: make_pipeline(
        encoded(), OneVsRestClassifier(HistGradientBoostingClassifier(max_iter=20))
    ),
    "pipelines": lambda: MultiOutputClassifier(make_pipeline(imputed(), LogisticRegression())),
    "forest": lambda: make_pipeline(filled(), RandomForestClassifier(10, max_depth=7, random_state=0)),
}


@pytest.mark.parametrize("name", LABELLED)
def test_a_classifier_of_labels_answers_alike_also_of_one_that_never_changed(name):
    labels = Field(name="probabilities", kind="float", columns=("high", "low", "same"), independent=True)
    said = Field(name="prediction", kind="string", separator="|", none="none")
    signature = Signature(inputs=INPUTS, outputs=(said, labels))
    found = three(seed=0)
    y = np.column_stack([found == 2, found < 1, np.full(len(found), name == "pipelines")]).astype(int)
    if name == "pipelines":  # scikit-learn's LogisticRegression refuses a label that never changes
        y[::7, 2] = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Label . is present in all|Label not . is present in all")
        model = LABELLED[name]().fit(frame(signature, seed=0), y)

    assert_alike(model, "multilabel", signature)
    given = NativeModel(model, task="multilabel", signature=signature).predict(rows_of(50, seed=2))
    assert given["probabilities"].shape == (50, 3)
    assert len(set(given["prediction"])) > 2


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_answers_alike(name):
    signature = Signature(inputs=INPUTS, outputs=ESTIMATED)
    model = REGRESSORS[name]().fit(frame(signature, seed=0), np.exp(target(seed=0)))

    assert_alike(model, "regression", signature)


SEVERAL_NUMBERS = {
    "linear": lambda: make_pipeline(imputed(), Ridge()),
    "forest": lambda: make_pipeline(filled(), RandomForestRegressor(10, max_depth=7)),
    "one each": lambda: make_pipeline(
        encoded(), MultiOutputRegressor(HistGradientBoostingRegressor(max_iter=20))
    ),
}


@pytest.mark.parametrize("name", SEVERAL_NUMBERS)
def test_a_regressor_of_several_numbers_answers_alike(name):
    numbers = Field(name="forecast", kind="float", columns=("1", "2"))
    signature = Signature(
        inputs=INPUTS, outputs=(Field(name="prediction", kind="float", column="1"), numbers)
    )
    y = np.column_stack([target(seed=0), target(seed=0) ** 2])
    model = SEVERAL_NUMBERS[name]().fit(frame(signature, seed=0), y)

    assert_alike(model, "regression", signature)


def test_a_timestamp_keeps_its_microseconds():
    signature = Signature(inputs=(Field(name="at", kind="timestamp"),), outputs=ESTIMATED)
    at = 1_357_000_000_000_000 + np.arange(200)
    model = DecisionTreeRegressor().fit((at - at[0]).reshape(-1, 1).astype(np.float32), at - at[0])
    boosted = HistGradientBoostingRegressor(min_samples_leaf=1, max_iter=5).fit(
        pl.DataFrame({"at": at}), at - at[0]
    )

    assert model.tree_.node_count > 100
    assert_alike(boosted, "regression", signature, columns={"at": at})


def test_an_estimator_fitted_on_arrays_answers_alike():
    signature = Signature(inputs=tuple(f for f in INPUTS if f.name in {"temp", "wind"}), outputs=CLASSIFIED)
    given = frame(signature, seed=0).to_numpy()
    model = make_pipeline(SimpleImputer(), StandardScaler(), HistGradientBoostingClassifier(max_iter=30)).fit(
        given, target(seed=0) > 0
    )

    assert given.dtype == np.float32
    assert_alike(model, "classification", signature)


@pytest.mark.parametrize("kind", ["string", "boolean"])
@pytest.mark.parametrize("classes", [[False, True], [0, 1], ["no", "yes"]])
def test_the_class_has_the_type_of_the_target_or_is_boolean_where_that_is_declared(classes, kind):
    signature = Signature(inputs=INPUTS, outputs=(Field(name="prediction", kind=kind), CLASSIFIED[1]))
    y = np.array(classes)[(target(seed=0) > 0).astype(int)]
    model = make_pipeline(encoded(), DecisionTreeClassifier(max_depth=3)).fit(frame(signature, seed=0), y)

    assert_alike(model, "classification", signature)


def test_columns_may_be_called_like_nodes_of_a_graph():
    names = ("cast_0", "constant_0", "concat_1", "X", "variable")
    signature = Signature(inputs=tuple(Field(name=name, kind="float") for name in names), outputs=CLASSIFIED)
    columns = {name: np.random.default_rng(i).random(300).astype(np.float32) for i, name in enumerate(names)}
    given = decode_frame(signature.inputs, columns)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(given, columns["X"] > 0.5)

    assert_alike(model, "classification", signature, columns=columns)


def test_an_input_that_the_pipeline_drops_is_still_taken():
    signature = Signature(inputs=INPUTS, outputs=CLASSIFIED)
    only_one = make_column_transformer(("passthrough", ["temp"]), remainder="drop")
    model = make_pipeline(only_one, LogisticRegression()).fit(frame(signature, seed=0), target(seed=0) > 0)

    assert_alike(model, "classification", signature)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(encoded(), SimpleImputer(), GaussianNB()),
        make_pipeline(imputed(), PCA(3), LogisticRegression()),
        make_pipeline(imputed(), MLPClassifier((4,), solver="lbfgs", max_iter=2000, random_state=0)),
    ],
    ids=["naive Bayes", "components", "network"],
)
def test_skl2onnx_writes_the_parts_that_we_do_not_know(model):
    signature = Signature(inputs=INPUTS, outputs=CLASSIFIED)

    model.fit(frame(signature, seed=0), target(seed=0) > 0)

    assert_alike(model, "classification", signature)


def test_a_part_that_runs_python_has_no_form():
    signature = Signature(inputs=(INPUTS[5],), outputs=ESTIMATED)
    model = make_pipeline(FunctionTransformer(lambda x: x * 2), Ridge()).fit(
        frame(signature, seed=0), target(seed=0)
    )

    with pytest.raises(Unconvertible, match="FunctionTransformer runs Python code"):
        next(conversions(model, task="regression", signature=signature))


def test_unseen_categories_are_mentioned_where_scikit_learn_refuses_them():
    signature = Signature(inputs=INPUTS, outputs=CLASSIFIED)
    strict = make_column_transformer((OneHotEncoder(), STRINGS), ("passthrough", ["distance"]))
    model = make_pipeline(strict, LogisticRegression()).fit(frame(signature, seed=0), target(seed=0) > 0)

    converted = next(conversions(model, task="classification", signature=signature))

    assert "scikit-learn would raise an error" in converted.notes[0]


def frame(signature: Signature, *, seed: int) -> pl.DataFrame:
    return decode_frame(signature.inputs, rows_of(1500, seed=seed))


def target(*, seed: int) -> np.ndarray:
    columns, rng = rows_of(1500, seed=seed), np.random.default_rng(seed)
    signal = (columns["carrier"] == "UA") + np.nan_to_num(columns["wind"], nan=12) / 10 + columns["temp"] / 40
    return signal + columns["distance"] / 5000 - 2.5 + rng.normal(0, 0.3, 1500)


def assert_alike(model, task, signature, *, columns=None):
    converted = next(conversions(model, task=task, signature=signature))
    native = NativeModel(model, task=task, signature=signature)
    served = OnnxModel(converted.model.SerializeToString(), signature=signature)
    held = columns or {
        name: values for name, values in rows_of(4000, seed=1).items() if name in signature.names
    }
    groups = {"given": held, **boundary_rows(signature, held, converted.thresholds)}
    for name, rows in groups.items():
        try:
            expected = native.predict(rows)
        except ValueError:  # scikit-learn refuses such rows, so there is nothing to compare with
            assert name != "given"
            continue

        given = served.predict(rows)

        off = differences(numbers(given, signature), numbers(expected, signature))
        assert off.max() <= TOLERANCE / 1000 or (task != "regression" and off.max() <= TOLERANCE)
        if task != "regression":
            assert given["prediction"].tolist() == expected["prediction"].tolist()


def test_the_runtime_is_the_real_one():
    assert tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 20)
