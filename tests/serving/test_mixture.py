"""Several versions that answer together: ensembles and cascades, to callers one model."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from treadle.core.clock import monotonic
from treadle.core.errors import InvalidInput
from treadle.core.records import Variant
from treadle.core.signature import Field, Signature
from treadle.core.traffic import Cascade, Ensemble
from treadle.serving.dataplane import Call, Dataplane
from treadle.serving.entries import pack, unpack
from treadle.serving.frames import tables_of
from treadle.serving.protocols import rows as plain

DISTANCE = Field(name="distance", kind="integer")
WIND = Field(name="wind", kind="float", nullable=True)
YES = (Field(name="prediction", kind="boolean"), Field(name="probability", kind="float"))
HOW_MUCH = (Field(name="prediction", kind="float"),)


def which(*classes):
    return (
        Field(name="prediction", kind="category"),
        Field(name="probabilities", kind="float", columns=classes),
    )


class Model:
    """Answers with a function of its columns, and keeps what it was asked."""

    def __init__(self, answer, *, inputs=(DISTANCE,), outputs=YES):
        self.signature = Signature(inputs=inputs, outputs=outputs)
        self._answer, self.asked = answer, []

    def predict(self, columns):
        self.asked.append({name: values.tolist() for name, values in columns.items()})
        values = np.asarray(self._answer(columns), dtype=np.float64)
        if len(self.signature.outputs) == 1:
            return {"prediction": values}
        if values.ndim == 2:
            names = np.array(self.signature.outputs[-1].columns, dtype=object)
            return {"prediction": names[values.argmax(axis=1)], "probabilities": values}
        return {"prediction": values > 0.5, "probability": values}


def always(*numbers):
    value = numbers[0] if len(numbers) == 1 else numbers
    return lambda columns: np.tile(
        value, (len(next(iter(columns.values()))), *([1] if len(numbers) > 1 else []))
    )


def by_distance(columns):
    """As sure of a row as its distance in thousandths says."""
    return columns["distance"] / 1000


@pytest.fixture
def serve(endpoints, clock):
    """A plane over models, of which the n-th is version n of `delay` with the n-th weight."""

    def make(traffic, *models, weights=None, holdout=None):
        shares = weights or (
            [1.0, *([0.0] * (len(models) - 1))]
            if isinstance(traffic, Cascade)
            else [1 / len(models)] * len(models)
        )
        variants = [
            Variant(name=f"v{n}", model="delay", version=n, weight=w) for n, w in enumerate(shares, 1)
        ]
        endpoints.revise(
            "delay",
            variants,
            actor="test",
            reason="asked for",
            expected=None,
            traffic=traffic,
            holdout=holdout,
        )
        plane = Dataplane(endpoints.current, lambda variant: models[variant.version - 1], clock=clock)
        plane.refresh()
        for model in models:
            model.asked.clear()
        return plane

    return make


def ask(plane, *rows, **more):
    return plane.predict(
        "delay", Call(read=lambda reader: reader.objects(rows), received=monotonic(), **more)
    )


def test_an_ensemble_answers_with_the_weighted_mean_and_who_agrees(serve):
    plane = serve(
        Ensemble(), Model(always(0.9)), Model(always(0.2)), Model(always(0.4)), weights=[0.5, 0.25, 0.25]
    )

    answer = ask(plane, {"distance": 1})

    assert answer.outputs["probability"].tolist() == pytest.approx([0.6])
    assert (answer.outputs["prediction"].tolist(), answer.outputs["agreement"].tolist()) == ([True], [0.5])
    assert (answer.variant.name, answer.assignment) == ("ensemble", "ensemble of v1 0.5, v2 0.25, v3 0.25")
    assert answer.propensity == 1


@pytest.mark.parametrize(("by", "expected"), [("mean", 0.4), ("median", 0.2), ("votes", 1 / 3)])
def test_the_median_and_votes_are_not_moved_by_one_that_is_far_off(serve, by, expected):
    plane = serve(Ensemble(by=by), Model(always(0.9)), Model(always(0.1)), Model(always(0.2)))

    answer = ask(plane, {"distance": 1})

    assert answer.outputs["probability"].tolist() == pytest.approx([expected])
    assert answer.outputs["agreement"].tolist() == pytest.approx([2 / 3])


def test_estimates_are_averaged(serve):
    plane = serve(Ensemble(), Model(always(10.0), outputs=HOW_MUCH), Model(always(20.0), outputs=HOW_MUCH))

    answer = ask(plane, {"distance": 1}, {"distance": 2})

    assert {name: values.tolist() for name, values in answer.outputs.items()} == {"prediction": [15.0, 15.0]}


def test_classes_are_matched_by_name_and_one_that_a_member_does_not_know_counts_0(serve):
    plane = serve(
        Ensemble(),
        Model(always(0.8, 0.2), outputs=which("cat", "dog")),
        Model(always(0.5, 0.1, 0.4), outputs=which("dog", "cat", "emu")),
    )

    (row,) = ask(plane, {"distance": 1}).rows()

    assert row["probabilities"] == pytest.approx({"cat": 0.45, "dog": 0.35, "emu": 0.2})
    assert (row["prediction"], row["agreement"]) == ("cat", 0.5)


def test_inputs_are_those_of_all_members_and_each_gets_its_own(serve):
    one = Model(always(0.9))
    other = Model(always(0.1), inputs=(WIND, msgspec.structs.replace(DISTANCE, nullable=True)))

    plane = serve(Ensemble(), one, other)
    ask(plane, {"distance": 7, "wind": None})

    assert one.asked == [{"distance": [7]}]
    assert other.asked[0]["distance"] == [7.0]
    assert np.isnan(other.asked[0]["wind"]).all()
    with pytest.raises(InvalidInput, match="'distance' is null"):
        ask(plane, {"distance": None, "wind": None})


def test_a_cascade_asks_the_next_where_the_first_is_unsure_row_by_row(serve, clock):
    cheap, costly, dear = (
        Model(by_distance),
        Model(lambda columns: columns["distance"] / 1000 + 0.3),
        Model(always(1.0)),
    )
    plane = serve(Cascade(below=0.8), cheap, costly, dear)

    answer = ask(plane, *({"distance": d} for d in (900, 550, 400, 100)), keys=["a", "b", "c", "d"])

    assert answer.outputs["probability"].tolist() == pytest.approx([0.9, 0.85, 1.0, 0.1])
    assert [row["version"] for row in answer.rows()] == [1, 2, 3, 1]
    assert costly.asked == [{"distance": [550, 400]}]
    assert dear.asked == [{"distance": [400]}]
    frame = tables_of([unpack(pack(answer.entry()))])["predictions/delay"]
    assert frame.select("version", "variant", "key").rows() == [
        (1, "v1", "a"),
        (2, "v2", "b"),
        (3, "v3", "c"),
        (1, "v1", "d"),
    ]
    assert set(frame["assignment"]) == {"cascade of v1, then v2, then v3"}


def test_a_cascade_answers_a_batch_as_its_rows_one_by_one(serve):
    plane = serve(
        Cascade(below=0.7), Model(by_distance), Model(lambda columns: 1 - columns["distance"] / 1000)
    )
    rows = [{"distance": int(d)} for d in np.random.default_rng(1).integers(0, 1000, 200)]

    together = ask(plane, *rows).rows()

    assert together == [ask(plane, row).rows()[0] for row in rows]
    assert {row["version"] for row in together} == {1, 2}


def test_a_version_that_is_asked_for_answers_alone(serve):
    plane = serve(Cascade(below=0.99), Model(always(0.6)), Model(always(0.7)))

    answer = ask(plane, {"distance": 1}, version=1)

    assert (answer.outputs["probability"].tolist(), answer.variant.name) == ([0.6], "v1")
    assert answer.entry().answered_by is None


def test_the_holdout_stays_with_the_first(serve):
    plane = serve(Ensemble(), Model(always(0.9)), Model(always(0.1)), holdout=0.3)

    names = [ask(plane, {"distance": 1}, subject=f"s{n}") for n in range(300)]

    held = [one for one in names if one.variant.name == "v1"]
    assert 60 < len(held) < 120
    assert {one.propensity for one in held} == {0.3}
    assert {one.propensity for one in names if one.variant.name == "ensemble"} == {0.7}


def test_an_answer_in_json_says_of_each_row_who_gave_it(serve):
    plane = serve(Cascade(below=0.8), Model(by_distance), Model(always(0.95)))

    answer = ask(plane, {"distance": 900}, {"distance": 500}, id="r")
    told = msgspec.json.decode(plain.render(answer, None).body)

    assert [(one["version"], one["variant"]) for one in told["predictions"]] == [(1, "v1"), (2, "v2")]


@pytest.mark.parametrize(
    ("traffic", "other", "said"),
    [
        (Ensemble(), Model(always(1.0), outputs=HOW_MUCH), "v2 answers with prediction, v1 with probability"),
        (
            Ensemble(),
            Model(always(0.5), inputs=(Field(name="distance", kind="string"),)),
            "takes 'distance' as string, another one as integer",
        ),
        (
            Cascade(below=0.8),
            Model(always(0.5, 0.5), outputs=which("a", "b")),
            "v2 answers with probabilities of a, b",
        ),
    ],
)
def test_variants_that_cannot_answer_together_are_refused(serve, traffic, other, said):
    plane = serve(traffic, Model(always(0.5)), other)

    assert said in plane.refused["delay"].error


def test_a_cascade_of_estimates_and_votes_on_them_are_refused(serve):
    models = [Model(always(1.0), outputs=HOW_MUCH), Model(always(2.0), outputs=HOW_MUCH)]

    refused = [
        serve(traffic, *models).refused["delay"].error
        for traffic in (Cascade(below=0.8), Ensemble(by="votes"))
    ]

    assert ["needs confidences" in refused[0], "needs classes" in refused[1]] == [True, True]


@pytest.mark.parametrize(
    ("traffic", "weights", "said"),
    [
        (Ensemble(), [1.0], "Expected two or more of some weight that answer, for an ensemble"),
        (Ensemble(), [1.0, 0.0], "Expected two or more of some weight"),
        (Cascade(below=0.8), [1.0], "Expected two or more that answer, for a cascade"),
        (Cascade(below=80), [1.0, 0.0], "Expected a confidence"),
    ],
)
def test_what_cannot_be_a_mixture_is_refused_where_it_is_set(serve, traffic, weights, said):
    with pytest.raises(InvalidInput, match=said):
        serve(traffic, *[Model(always(0.5))] * len(weights), weights=weights)
