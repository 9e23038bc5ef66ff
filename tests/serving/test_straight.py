"""The shortest way of a row against the usual one: what is told, what is logged, and what has to go the usual way."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from treadle.core.clock import ManualClock, SystemClock, monotonic
from treadle.core.errors import ModelFailed
from treadle.core.records import Variant
from treadle.core.signature import Field, Signature
from treadle.registry import binding, packages
from treadle.registry.formats.onnx import OnnxModel
from treadle.serving import straight
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.predictor import Predictor
from treadle.serving.protocols.rows import predictions
from treadle.store.objects.objects import Objects

compose = pytest.importorskip("sklearn.compose")
ensemble = pytest.importorskip("sklearn.ensemble")
pipelines = pytest.importorskip("sklearn.pipeline")
preprocessing = pytest.importorskip("sklearn.preprocessing")
pytest.importorskip("onnxruntime")

INPUTS = (
    Field(name="carrier", kind="string", nullable=True),
    Field(name="it's {odd}; import os", kind="integer"),
    Field(name="stops", kind="integer", nullable=True),
    Field(name="wind", kind="float", nullable=True),
    Field(name="rain", kind="boolean"),
)
ODD = INPUTS[1].name
KINDS = {"carrier": pl.String, ODD: pl.Int64, "stops": pl.Int64, "wind": pl.Float64, "rain": pl.Boolean}
OUTPUTS = {
    "classification": (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
    "regression": (Field(name="prediction", kind="float"),),
}
ROW = {"carrier": "UA", ODD: 1400, "stops": 1, "wind": 12.5, "rain": True}


def rows_of(count, *, seed):
    draw = np.random.default_rng(seed)
    gaps = draw.random((3, count)) < 0.1
    return [
        {
            "carrier": None if gaps[0, row] else str(draw.choice(["AA", "UA", "", "Ünseen"])),
            ODD: int(draw.integers(-(2**40), 2**40)) if row % 9 == 0 else int(draw.integers(0, 5_000)),
            "stops": None if gaps[1, row] else int(draw.integers(0, 4)),
            "wind": None if gaps[2, row] else float(draw.normal(10, 7)),
            "rain": bool(draw.random() < 0.3),
        }
        for row in range(count)
    ]


def frame(signature, rows):
    columns = signature.encode(pl.DataFrame(rows, schema=KINDS))
    return pl.DataFrame({name: list(v) if v.dtype == object else v for name, v in columns.items()})


def fitted(task, root):
    """Return a boosted pipeline as it is loaded from a package."""
    signature = Signature(inputs=INPUTS, outputs=OUTPUTS[task])
    known = [
        row | {"carrier": "AA" if row["carrier"] == "Ünseen" else row["carrier"]}
        for row in rows_of(900, seed=0)
    ]
    codes = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    front = compose.make_column_transformer((codes, ["carrier"]), remainder="passthrough")
    heat = np.array([(row["wind"] or 0) + 3 * (row["stops"] or 0) for row in known])
    golden = rows_of(60, seed=1)
    if task == "classification":
        learner = ensemble.HistGradientBoostingClassifier(max_iter=20)
        model = pipelines.make_pipeline(front, learner).fit(frame(signature, known), heat > 15)
        expected = model.predict_proba(frame(signature, golden))[:, 1]
    else:
        learner = ensemble.HistGradientBoostingRegressor(max_iter=20)
        model = pipelines.make_pipeline(front, learner).fit(frame(signature, known), heat)
        expected = model.predict(frame(signature, golden))
    objects = Objects.open("objects", root=root, options={})
    package = packages.pack(
        model,
        task=task,
        signature=signature,
        golden=pl.DataFrame(golden, schema=KINDS),
        expected=expected,
        objects=objects,
    )
    assert package.format == "onnx"
    return packages.load(package.digest, objects=objects, cache=root / "cache")


@pytest.fixture(scope="module", params=OUTPUTS)
def servable(request, tmp_path_factory):
    return fitted(request.param, tmp_path_factory.mktemp("straight"))


@pytest.fixture
def plane(endpoints, servable):
    variants = [Variant(name=n, model="delay", version=v, weight=0.5) for n, v in (("old", 1), ("new", 2))]
    endpoints.revise("delay", variants, actor="test", reason="test", expected=None)
    plane = Dataplane(endpoints.current, lambda variant: servable, clock=SystemClock())
    plane.refresh()
    return plane


def shortest(plane, row, subject=None):
    return straight.answered(plane.loaded["delay"], row, subject, clock=plane.clock)


def usual(plane, row, subject=None):
    call = Call(read=lambda reader: reader.objects([row]), received=monotonic(), subject=subject)
    answer = plane.predict("delay", call)
    return predictions(answer)[0], answer.entry()


def kept(entry):
    """Return what the log keeps but for the id and moments; NaN as text, which equals itself."""
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
    for name in ("request_id", "at", "latency"):
        del fields[name]
    return repr({name: [*map(list, v.values())] if name == "inputs" else v for name, v in fields.items()})


def test_every_row_is_told_and_logged_as_by_the_usual_way(plane):
    for number, row in enumerate(rows_of(500, seed=2)):
        subject = f"customer-{number % 50}"

        told, entry = shortest(plane, row, subject)

        expected, logged = usual(plane, row, subject)
        assert told["prediction_id"] == f"{entry.request_id}-0"
        assert repr({**told, "prediction_id": ""}) == repr({**expected, "prediction_id": ""})
        assert kept(entry) == kept(logged)
        assert 0 <= entry.latency < 60


@pytest.mark.parametrize(
    "odd",
    [
        {ODD: "far"},
        {ODD: None},
        {ODD: True},
        {ODD: 2**63},
        {ODD: 10**400},
        {ODD: 1400.0},
        {"stops": 2**53 + 1},
        {"wind": math.nan},
        {"wind": math.inf},
        {"wind": 1e39},
        {"wind": 12},
        {"rain": 1},
        {"rain": None},
        {"carrier": 5},
        {"carrier": ["UA"]},
        {"carrier": np.str_("UA")},
        {"wind": np.float64(12.5)},
        {"more": 1},
    ],
    ids=repr,
)
def test_what_is_not_as_most_rows_are_goes_the_usual_way(plane, odd):
    assert shortest(plane, ROW) is not None
    assert shortest(plane, ROW | odd) is None


def test_a_row_that_lacks_a_value_goes_the_usual_way(plane):
    assert shortest(plane, {name: value for name, value in ROW.items() if name != "wind"}) is None
    assert shortest(plane, {name + "s": value for name, value in ROW.items()}) is None


@pytest.mark.parametrize("said", [[math.nan, math.nan], RuntimeError("no such leaf")], ids=["nan", "raises"])
def test_a_model_that_fails_fails_as_by_the_usual_way(plane, monkeypatch, said):
    def fail(*_):
        if isinstance(said, Exception):
            raise said
        return said

    monkeypatch.setattr(binding._Bound, "numbers", fail)
    monkeypatch.setattr(OnnxModel, "predict_packed", lambda *_: {"prediction": np.array([math.nan])})
    assert shortest(plane, ROW) is None

    with (
        Predictor("delay", plane, log=None, follower=None) as predictor,
        pytest.raises(ModelFailed, match="nan"),
    ):
        predictor.predict(ROW)


def test_the_moment_is_the_clock_s(endpoints, servable, clock):
    assert isinstance(clock, ManualClock)
    endpoints.revise(
        "delay",
        [Variant(name="only", model="delay", version=1)],
        actor="test",
        reason="test",
        expected=None,
    )
    plane = Dataplane(endpoints.current, lambda variant: servable, clock=clock)
    plane.refresh()

    _, entry = shortest(plane, ROW)

    assert entry.at == int(clock.now().timestamp() * 1e6)
    assert (entry.assignment, entry.propensity) == ("only variant", 1.0)
