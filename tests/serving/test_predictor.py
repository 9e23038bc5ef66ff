from __future__ import annotations

import numpy as np
import pytest
from serving_wiring import FakeLoader

from treadle.core.errors import InvalidInput, NotFound
from treadle.serving.dataplane import Dataplane
from treadle.serving.follower import Follower
from treadle.serving.log import PredictionLog
from treadle.serving.predictions import Predictions
from treadle.serving.predictor import Predictor

ROW = {"distance": 1400, "temp": None, "carrier": "UA"}


@pytest.fixture
def plane(endpoints, clock, tmp_path, revise):
    revise(("champion", 7, 1.0))
    return Dataplane(endpoints.current, FakeLoader(tmp_path), clock=clock)


@pytest.fixture
def predictor(plane, endpoints, clock, tmp_path):
    log = PredictionLog(tmp_path, server="me", flush_interval=0.01)
    follower = Follower(plane, endpoints, server="me", clock=clock, poll_interval=0.01)
    with Predictor("delay", plane, log=log, follower=follower) as predictor:
        yield predictor


def test_a_row_is_answered_and_logged(predictor, tables, tmp_path):
    answer = predictor.predict(ROW, key={"flight_id": "a"})
    predictor.close()

    assert (answer["prediction"], answer["probability"]) == (True, 0.007)
    logged = Predictions(tables, root=tmp_path).scan("delay").collect()
    assert logged.select("prediction_id", "key").rows() == [(answer["prediction_id"], '{"flight_id":"a"}')]


def test_rows_are_answered_in_their_order(predictor):
    answers = predictor.predict([ROW, {**ROW, "distance": 5}])

    assert [answer["prediction"] for answer in answers] == [True, False]


def test_numpy_scalars_are_values_too(predictor):
    row = {"distance": np.int64(1400), "temp": np.float32("nan"), "carrier": np.str_("UA")}

    assert predictor.predict(row)["prediction"] is True


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({**ROW, "distance": "far"}, "rows[0].distance"),
        ({**ROW, "distance": float("nan")}, "rows[0].distance"),
        ({**ROW, "temp": float("inf")}, "rows[0].temp"),
        ({"distance": 5}, "rows[0].temp"),
    ],
)
def test_bad_rows_are_refused_by_name(predictor, row, field):
    with pytest.raises(InvalidInput) as refusal:
        predictor.predict(row)

    assert refusal.value.field == field


@pytest.mark.parametrize("rows", [[], [5], "rows"])
def test_what_is_no_rows_is_refused(predictor, rows):
    with pytest.raises(InvalidInput):
        predictor.predict(rows)


def test_it_follows_new_revisions(predictor, revise, endpoints):
    revise(("champion", 8, 1.0))

    endpoints.wait("delay", 2, timeout=60)

    assert predictor.predict(ROW)["probability"] == 0.008


def test_an_unknown_endpoint_is_not_found(plane):
    with pytest.raises(NotFound):
        Predictor("delays", plane, log=None, follower=None)


def test_it_answers_while_every_store_is_gone(plane, endpoints, clock, tmp_path):
    (tmp_path / ".treadle").write_text("a file where the folder should be")
    log = PredictionLog(tmp_path, server="me", flush_interval=0.01, buffer=1_000)
    follower = Follower(plane, endpoints, server="me", clock=clock, poll_interval=0.01)

    with Predictor("delay", plane, log=log, follower=follower) as predictor:
        (tmp_path / "ledger.db").rename(tmp_path / "ledger.away")
        answers = [predictor.predict(ROW)["prediction"] for _ in range(100)]
        dropped = predictor.dropped
        (tmp_path / "ledger.away").rename(tmp_path / "ledger.db")

    assert set(answers) == {True}
    assert dropped > 50
