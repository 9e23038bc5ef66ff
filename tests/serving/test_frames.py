from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.serving.entries import PredictionEntry
from treadle.serving.frames import PREDICTIONS, tables_of

VALUES = {
    "text": st.text(),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "whole": st.integers(-(2**63), 2**63 - 1),
    "truth": st.booleans(),
    "any": st.one_of(st.integers(0, 2**64 - 1), st.text(), st.lists(st.integers(0, 9)), st.floats(-1, 1)),
}


def prediction(name="r1", rows=1, **more):
    usual = {
        "request_id": name,
        "endpoint": "delay",
        "revision": 2,
        "model": "delay",
        "version": 3,
        "variant": "champion",
        "assignment": "only variant",
        "subject": None,
        "at": 1_000_000,
        "latency": 0.002,
        "inputs": {"distance": list(range(rows))},
        "keys": None,
        "predictions": [1.0] * rows,
        "probabilities": None,
    }
    return PredictionEntry(**{**usual, **more})


def frame_of(*entries):
    return tables_of(entries)["predictions/delay"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_inputs_are_kept_as_they_came(data):
    kinds = data.draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4))
    entries = []
    for number in range(data.draw(st.integers(1, 4))):
        rows = data.draw(st.integers(1, 3))
        inputs = {
            f"{place}é": data.draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows))
            for place, kind in enumerate(kinds)
        }
        entries.append(prediction(f"r{number}", rows, inputs=inputs, version=data.draw(st.integers(1, 2))))

    frame = frame_of(*entries)

    expected = [
        {name: values[row] for name, values in entry.inputs.items()}
        for entry in entries
        for row in range(len(entry.predictions))
    ]
    assert [json.loads(text) for text in frame["inputs"]] == expected
    assert frame.schema == PREDICTIONS


def test_rows_of_requests_of_several_sizes_keep_what_is_theirs():
    entries = [
        prediction("r1", 2, keys=["a", "b"], probabilities=[0.25, 0.75]),
        prediction("r2", 1, shadow=True, variant="next", subject="s", confidences=[0.5]),
        prediction("r3", 2, decisions=["answer", "ask"], answered_by=[("m", 1, "x"), ("n", 2, "y")]),
    ]

    frame = frame_of(*entries)

    assert frame["prediction_id"].to_list() == ["r1-0", "r1-1", "r2-0~next", "r3-0", "r3-1"]
    assert frame["row"].to_list() == [0, 1, 0, 0, 1]
    assert frame["key"].to_list() == ["a", "b", None, None, None]
    assert frame["confidence"].to_list() == [0.75, 0.75, 0.5, None, None]
    assert frame["model"].to_list() == ["delay", "delay", "delay", "m", "n"]
    assert frame["version"].to_list() == [3, 3, 3, 1, 2]
    assert frame["subject"].to_list() == [None, None, "s", None, None]
    assert frame["decision"].to_list() == [None, None, None, "answer", "ask"]


def test_many_rows_of_which_no_input_may_be_kept_are_rows_all_the_same():
    frame = frame_of(prediction(rows=3, inputs={}))

    assert frame["inputs"].to_list() == ["{}"] * 3


@pytest.mark.parametrize("rows", [1, 5_000])
def test_more_rows_than_are_made_at_once_are_all_there(rows):
    entries = [prediction(f"r{number}", rows) for number in range(3)]

    frame = frame_of(*entries)

    assert frame.height == 3 * rows
    assert frame["prediction_id"].n_unique() == 3 * rows
    assert msgspec.json.decode(frame["inputs"][-1]) == {"distance": rows - 1}


@pytest.mark.parametrize("counts", [[0], [0, 1], [0, 2], [1, 0, 2, 1]], ids=str)
def test_an_entry_without_rows_shifts_no_other(counts):
    entries = [prediction(f"r{place}", rows) for place, rows in enumerate(counts)]

    frame = frame_of(*entries)

    assert frame["prediction_id"].to_list() == [
        f"r{p}-{row}" for p, n in enumerate(counts) for row in range(n)
    ]
