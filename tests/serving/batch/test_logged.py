"""Rows of a batch in the log are as those that a server logs: told by the version that answered, with their whole answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl

from treadle.serving.batch import logged
from treadle.serving.batch.logged import Logging
from treadle.serving.discretion import Discretion
from treadle.serving.frames import PREDICTIONS
from treadle.store.tables.tables import Tables

AT = datetime(2013, 2, 1, tzinfo=UTC)
ROWS = pl.DataFrame({"flight": ["a", "b"], "x": [1.5, None], "carrier": ["UA", "AA"]})


def logging(**more):
    return Logging(endpoint="fares", revision=3, model="quick", version=1, at=AT, **more)


def test_rows_of_a_cascade_name_the_version_that_answered_each():
    outputs = {
        "prediction": np.array([True, False]),
        "version": np.array([1, 1]),
        "variant": np.array(["cheap", "dear"], dtype=object),
        "probability": np.array([0.9, 0.25]),
    }
    of = logging(members=(("cheap", "quick", 1), ("dear", "slow", 1)), key=("flight",))

    frame = of.frame(ROWS, outputs, inputs=["x", "carrier"], columns={}, name="batch_1-0")

    assert frame.schema == pl.Schema(PREDICTIONS)
    assert frame.select("model", "version", "variant").rows() == [("quick", 1, "batch"), ("slow", 1, "batch")]
    assert frame["prediction_id"].to_list() == ["batch_1-0-0-0", "batch_1-0-1-0"]
    assert frame["key"].to_list() == ['{"flight":"a"}', '{"flight":"b"}']
    assert [json.loads(text) for text in frame["inputs"]] == ROWS.select("x", "carrier").to_dicts()
    assert json.loads(frame["outputs"][1])["variant"] == "dear"
    assert frame["confidence"].to_list() == [0.9, 0.75]


def test_classes_and_decisions_are_kept_and_what_a_person_must_see_is_not_sampled_away():
    outputs = {
        "prediction": np.array(["b", "a"] * 500, dtype=object),
        "decision": np.array(["review", "answer"] * 500, dtype=object),
        "probabilities": np.array([[0.25, 0.75], [0.5, 0.5]] * 500),
    }
    rows = pl.concat([ROWS] * 500)
    of = logging(discretion=Discretion(fraction=0.1, dropped=frozenset({"carrier"})))

    frame = of.frame(rows, outputs, inputs=["x", "carrier"], columns={"probabilities": ("a", "b")}, name="n")

    assert frame["prediction"].null_count() == frame.height
    assert frame.filter(decision="review").select("sampled", "confidence").unique().rows() == [(1.0, 0.75)]
    assert frame.filter(decision="review").height == 500
    assert 20 < frame.filter(decision="answer", sampled=0.1).height < 90
    assert json.loads(frame["outputs"][0])["probabilities"] == {"a": 0.25, "b": 0.75}
    assert "carrier" not in "".join(frame["inputs"])


def test_a_log_of_an_earlier_release_gets_the_columns_that_it_lacks(tmp_path):
    tables = Tables.open("tables", root=tmp_path, options={})
    outputs = {"prediction": np.array([1.0, 2.0])}
    frame = logging().frame(ROWS, outputs, inputs=["x"], columns={}, name="n")
    tables.deliver("predictions/fares", frame.drop("decision", "sampled"), sender="old", number=1)

    for _ in range(2):
        logged.deliver(tables, "predictions/fares", frame, sender="batch_1", number=1)

    assert tables.scan("predictions/fares").collect().height == 4
