from __future__ import annotations

import numpy as np
import pytest
from serving_wiring import SIGNATURE

from treadle.core.errors import InvalidInput, ModelFailed, PackageRefused
from treadle.core.records import Variant
from treadle.serving.requests import Reader
from treadle.serving.runtime import make_ready, run_together

VARIANT = Variant(name="champion", model="delay", version=1)


class Model:
    """Answers with distance / 10,000; fails for the distance 13, and is not finite for 17."""

    signature = SIGNATURE

    def __init__(self):
        self.calls = []

    def predict(self, columns):
        distance = columns["distance"]
        self.calls.append(len(distance))
        if (distance == 13).any():
            raise RuntimeError("unlucky")
        probability = np.where(distance == 17, np.nan, distance / 10_000)
        return {"prediction": distance > 1000, "probability": probability}


class Rounding(Model):
    """Answers a little differently when it is asked for several rows, as products of matrices do."""

    def predict(self, columns):
        found = super().predict(columns)
        if len(columns["distance"]) > 1:
            found["probability"] = np.nextafter(found["probability"], 1)
        return found


def golden(*distances):
    rows = len(distances)
    carriers = np.array(["UA"] * rows, dtype=object)
    return {"distance": np.array(distances), "temp": np.zeros(rows, np.float32), "carrier": carriers}


def batch(ready, *distances):
    return ready.reader.objects([{"distance": d, "temp": None, "carrier": "UA"} for d in distances])


def test_requests_that_run_together_get_their_own_rows_of_one_call():
    model = Model()
    ready = make_ready(model, VARIANT, reader=Reader(model.signature, max_rows=100))
    model.calls.clear()

    found = run_together(ready, [batch(ready, 100), batch(ready, 2000, 300), batch(ready, 400)], VARIANT)

    assert [one["probability"].tolist() for one in found] == [[0.01], [0.2, 0.03], [0.04]]
    assert [one["prediction"].tolist() for one in found] == [[False], [True, False], [False]]
    assert model.calls == [4]


@pytest.mark.parametrize(
    ("bad", "kind", "said"),
    [(13, ModelFailed, "unlucky"), (17, ModelFailed, "for row 0"), (2**63, InvalidInput, "64 bits")],
)
def test_what_is_wrong_with_one_request_is_not_the_matter_of_its_neighbours(bad, kind, said):
    ready = make_ready(Model(), VARIANT, reader=Reader(Model.signature, max_rows=100))

    found = run_together(ready, [batch(ready, 100), batch(ready, bad), batch(ready, 300)], VARIANT)

    assert [found[0]["probability"].tolist(), found[2]["probability"].tolist()] == [[0.01], [0.03]]
    assert isinstance(found[1], kind)
    assert said in str(found[1])


def test_a_model_whose_bits_depend_on_its_neighbours_is_called_for_each_request_alone():
    model = Rounding()
    ready = make_ready(
        model, VARIANT, reader=Reader(model.signature, max_rows=100), samples=golden(*range(8))
    )
    model.calls.clear()

    found = run_together(ready, [batch(ready, 100), batch(ready, 200)], VARIANT)

    assert not ready.joins
    assert [one["probability"].tolist() for one in found] == [[0.01], [0.02]]
    assert model.calls == [1, 1]


def test_a_model_that_fails_on_the_samples_of_its_package_is_refused():
    with pytest.raises(PackageRefused, match="unlucky"):
        make_ready(Model(), VARIANT, reader=Reader(Model.signature, max_rows=100), samples=golden(12, 13))
