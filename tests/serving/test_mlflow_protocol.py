"""MLflow's protocol over HTTP, against a real server."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request

import polars as pl
import pytest

from treadle.serving.predictions import Predictions

AT = "/v1/endpoints/fares/invocations"
NAMES = ["distance", "temp", "carrier"]
DATA = [[1400, None, "UA"], [200, 3.5, "Ü"]]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in DATA]
CSV = {"Content-Type": "text/csv"}
EXPECTED = [{"prediction": True, "probability": 0.007}, {"prediction": False, "probability": 0.007}]


@pytest.fixture
def server(shared):
    return shared


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "index": [0, 1], "data": DATA}},
        {"dataframe_split": {"data": DATA}},
        {"dataframe_split": {"columns": NAMES, "data": [[1400.0, math.nan, "UA"], DATA[1]]}},
        {"dataframe_records": RECORDS},
        {"instances": RECORDS},
        {"instances": DATA},
        {"inputs": {"distance": [1400, 200], "temp": [[None], [3.5]], "carrier": ["UA", "Ü"]}},
        {"inputs": RECORDS},
    ],
    ids=lambda body: next(iter(body)),
)
def test_every_form_is_answered_alike(server, body):
    status, answer = server.call(AT, json.dumps(body).encode())

    assert (status, answer) == (200, {"predictions": EXPECTED})


def test_csv_is_answered_alike_and_what_is_empty_is_missing(server):
    status, answer = server.call(
        AT, '\ufeffdistance,temp,carrier\r\n1400,,UA\n200,3.5,"Ü"\n'.encode(), headers=CSV
    )

    assert (status, answer) == (200, {"predictions": EXPECTED})


def test_params_say_who_asks_and_which_columns_are_keys(server):
    data = [[*row, name] for row, name in zip(DATA, ("a", "b"), strict=True)]
    split = {"columns": [*NAMES, "flight_id"], "data": data}
    params = {"id": "m1", "subject": 7, "keys": ["flight_id"]}

    status, _ = server.call(AT, {"dataframe_split": split, "params": params})

    assert status == 200
    scan = Predictions(server.tables, root=server.root).scan("fares")
    logged = scan.filter(pl.col("request_id") == "m1").sort("row").collect()
    assert logged["key"].to_list() == ['{"flight_id":"a"}', '{"flight_id":"b"}']
    assert logged["subject"].to_list() == ["7", "7"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "none of dataframe_split"),
        ([], "an array of 0"),
        ({"instances": DATA, "inputs": {}}, "instances and inputs"),
        ({"dataframe_split": {"columns": NAMES, "data": []}}, "no rows"),
        ({"dataframe_split": {"columns": NAMES, "data": [[1, 2]]}}, "data[0]"),
        ({"dataframe_split": {"columns": [*NAMES, "speed"], "data": [[*DATA[0], 1]]}}, "speed"),
        ({"dataframe_split": {"columns": ["distance"] * 3, "data": DATA}}, "dataframe_split.columns"),
        ({"dataframe_records": [RECORDS[0], {"distance": 1}]}, "dataframe_records[1]"),
        ({"instances": [1, 2]}, "data[0]"),
        ({"instances": RECORDS, "params": {"temperature": 1}}, "params.temperature"),
        ({"instances": RECORDS, "params": {"keys": [1]}}, "params.keys"),
        ({"instances": RECORDS, "params": {"keys": ["speed"]}}, "params.keys"),
        ({"inputs": {"distance": [[1, 2]]}}, "inputs.distance"),
        ({"instances": [{**RECORDS[0], "distance": 1.5}]}, "distance[0]"),
        ({"instances": [{**RECORDS[0], "carrier": None}]}, "carrier[0]"),
        (b'{"instances": [{"distance": Infinity}]}', "Infinity"),
    ],
)
def test_bad_input_is_refused_as_mlflow_does_with_the_place(server, body, place):
    status, answer = server.call(AT, body)

    assert (status, answer["error_code"]) == (400, "BAD_REQUEST")
    assert place in answer["message"]


@pytest.mark.parametrize(
    "text",
    ["", "distance", "a,a\n1,2", "distance,temp,carrier\n1,2", "distance,temp,carrier\nx,1,UA", "\0", '"'],
)
def test_bad_csv_is_refused(server, text):
    assert server.call(AT, text.encode(), headers=CSV)[0] == 400


def test_a_request_that_names_no_endpoint_asks_the_one_that_is_meant(server):
    assert server.call("/invocations?endpoint=fares", {"instances": DATA})[0] == 200
    assert server.call("/invocations?endpoint=fare", {"instances": DATA})[0] == 404
    status, answer = server.call("/invocations", {"instances": DATA})
    assert status == 400
    assert "delay, fares" in answer["message"]


def test_the_setting_says_which_endpoint_is_meant(revise, launch):
    revise(("champion", 7, 1.0))
    revise(("champion", 7, 1.0), name="fares")
    server = launch(default_endpoint="fares", token="secret")

    status, answer = server.call(
        "/invocations", {"instances": DATA}, headers={"Authorization": "Bearer secret"}
    )

    assert (status, answer) == (200, {"predictions": EXPECTED})
    assert server.call("/invocations", {"instances": DATA})[0] == 401
    assert server.call("/ping")[0] == 200  # MLflow's clients send no token here


@pytest.mark.parametrize("path", ["/ping", "/health", "/v1/endpoints/fares/ping", "/version"])
def test_health_and_version_are_plain_text(server, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
        text = answer.read().decode()

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert text == "\n" or text[0].isdigit()


def test_an_endpoint_that_is_not_there_is_not_well(server):
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/v1/endpoints/fare/ping")
