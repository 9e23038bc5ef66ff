"""Online models are stored without pickle, or refused; asking teaches them nothing."""

import numpy as np
import pytest
from river import compose, linear_model, preprocessing, tree

from treadle.core.answers import numbers
from treadle.core.errors import UnsafeFormat
from treadle.core.signature import Field, Signature, decode_frame
from treadle.registry.format import Trial
from treadle.registry.formats import river as found

SIGNATURE = Signature(
    inputs=(Field(name="distance", kind="integer"), Field(name="carrier", kind="string")),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)


def columns(rows=200):
    rng = np.random.default_rng(0)
    carriers = rng.choice(np.array(["AA", "UA"], dtype=object), rows)
    return {"distance": rng.integers(80, 5000, rows), "carrier": carriers}


def taught(model, *, truth=bool):
    for row in decode_frame(SIGNATURE.inputs, columns()).iter_rows(named=True):
        model.learn_one(row, truth(row["distance"] > 2000))
    return model


def linear():
    scaled = compose.Select("distance") | preprocessing.StandardScaler()
    coded = compose.Select("carrier") | preprocessing.OneHotEncoder()
    return (scaled + coded) | linear_model.LogisticRegression()


@pytest.mark.parametrize("truth", [bool, int])
def test_a_pipeline_answers_as_before_and_goes_on_learning(truth):
    model = taught(linear(), truth=truth)
    rows = list(decode_frame(SIGNATURE.inputs, columns()).iter_rows(named=True))
    expected = np.array([model.predict_proba_one(row)[True] for row in rows])

    saved = found.save(model, task="classification", signature=SIGNATURE, trial=Trial(columns(), expected))
    loaded = found.load(saved.files, task="classification", signature=SIGNATURE)

    assert numbers(loaded.predict(columns()), SIGNATURE).tolist() == expected.tolist()
    assert loaded.predict(columns())["prediction"].tolist() == (expected > 0.5).tolist()
    assert [model.predict_proba_one(row)[True] for row in rows] == expected.tolist()


def test_a_model_that_has_seen_nothing_says_a_half():
    asked = found.estimator(linear_model.LogisticRegression(), signature=SIGNATURE)
    empty = found.estimator(tree.HoeffdingTreeClassifier(), signature=SIGNATURE)
    rows = decode_frame(SIGNATURE.inputs[:1], {"distance": np.array([100])})

    assert asked.predict_proba(rows)[:, 1].tolist() == [0.5]
    assert empty.predict_proba(rows)[:, 1].tolist() == [0.5]


@pytest.mark.parametrize(
    "model",
    [
        lambda: taught(tree.HoeffdingTreeClassifier(grace_period=20)),
        lambda: compose.FuncTransformer(abs) | linear_model.LogisticRegression(),
    ],
    ids=["a tree", "a function"],
)
def test_what_only_a_pickle_could_hold_is_refused(model):
    with pytest.raises(UnsafeFormat, match="allow_pickle=True"):
        found.save(
            model(),
            task="classification",
            signature=SIGNATURE,
            trial=Trial(columns(2), np.array([0.5, 0.5])),
        )
