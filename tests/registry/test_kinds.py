"""What is packaged and served of every kind of question is what the library itself answers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import treadle as td
from kind_cases import KINDS, Kind
from treadle.core.answers import numbers
from treadle.core.clock import SystemClock
from treadle.core.records import Revision, Variant, Window
from treadle.loop import fitting
from treadle.loop.models import Model
from treadle.registry import packages
from treadle.registry.format import TOLERANCE, differences
from treadle.serving.dataplane import Dataplane
from treadle.serving.predictor import Predictor
from treadle.store.objects.objects import Objects
from wide_cases import WIDE

#: The last digit of a row's place, or of its query's → the part of the split.
PARTS = dict.fromkeys(range(7), "train") | {7: "validation", 8: "test", 9: "test"}
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("case", [*KINDS, *WIDE], ids=lambda case: case.name)
def test_a_served_model_answers_as_the_library_itself_does(case: Kind, tmp_path: Path) -> None:
    rows = case.frame()
    place = pl.col("query").rank("dense") if "query" in rows.columns else pl.int_range(pl.len())
    rows = rows.with_columns((place % 10).replace_strict(PARTS).alias("_split"))
    model = declared(case)
    data = fitting.data_of(model, rows.filter(pl.col("_split") != "test"), Window(start=None, end=AT))
    estimator = case.train(data)
    objects = Objects.open("objects", root=tmp_path, options={})
    test = rows.filter(pl.col("_split") == "test").select(data.inputs)
    expected = np.asarray(case.native(estimator, data.encoded(test)), dtype=np.float64)

    package = fitting.packed(model, estimator, data, seed=0, metrics={}, objects=objects).package
    served = packages.load(package.digest, objects=objects, cache=tmp_path / "cache", allow_pickle=True)
    given = numbers(served.predict(package.signature.encode(test)), package.signature)
    plane = Dataplane(lambda: {"case": revision()}, lambda variant: served, clock=SystemClock())
    with Predictor("case", plane, log=None, follower=None) as predictor:
        answers = predictor.predict(test.to_dicts())

    name = package.signature.outputs[-1].name
    told = [one[name] if given.ndim == 1 else list(one[name].values()) for one in answers]
    assert package.format == case.stored
    assert differences(given, expected).max() <= TOLERANCE
    assert np.array_equal(told, given)
    assert np.ptp(expected) > 0.01


def declared(case: Kind) -> Model:
    said = {"time": "at"} if isinstance(case.task, td.Forecast) else {"outcome": "y"}
    rows = td.Dataset("rows", source=td.Files("rows/*.parquet"), key="key", **said)

    target = "y" if case.has_target else ""

    @td.model(data=rows, target=target, task=case.task, allow_pickle=case.stored == "pickle")
    def case_(data, params, run):
        return case.train(data)

    return case_


def revision() -> Revision:
    variant = Variant(name="champion", model="case", version=1)
    return Revision(endpoint="case", revision=1, variants=(variant,), created_at=AT, actor="test", reason="")
