"""Several models side by side: one for each number of an answer, whatever library each is of."""

from __future__ import annotations

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression

from treadle.core.signature import Field, Signature
from treadle.registry import packages
from treadle.store.objects.objects import Objects
from treadle.training.tasks.multilabel import Multilabel


def test_a_classifier_for_each_label_is_packaged_and_answers_alike(tmp_path):
    random = np.random.default_rng(2)
    frame = pl.DataFrame({"a": random.normal(size=300), "b": random.normal(size=300)}).cast(pl.Float32)
    y = np.column_stack([frame["a"] > 0.3, frame["b"] > frame["a"]]).astype(int)
    task = Multilabel(labels=["much", "more"], separator="+")
    models = [
        LogisticRegression().fit(frame, y[:, 0]),
        LGBMClassifier(n_estimators=9, verbose=-1, n_jobs=1).fit(frame, y[:, 1]),
    ]
    signature = Signature(
        inputs=tuple(Field(name=name, kind="float") for name in frame.columns), outputs=task.outputs
    )
    objects = Objects.open("objects", root=tmp_path, options={})
    expected = task.predictions(models, frame)

    package = packages.pack(
        models, task=task.name, signature=signature, golden=frame, expected=expected, objects=objects
    )
    served = packages.load(package.digest, objects=objects, cache=tmp_path / "cache")
    given = served.predict(signature.encode(frame))

    assert package.format == "several"
    assert np.allclose(given["probabilities"], expected, rtol=0, atol=1e-5)
    assert set(given["prediction"]) == {"much", "more", "much+more", "none"}
