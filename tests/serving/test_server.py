from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from contextlib import closing
from time import perf_counter

import polars as pl
import pytest
from serving_wiring import build

from pace import within
from treadle.core.errors import AuthRequired, InvalidInput
from treadle.core.settings import ServingSettings
from treadle.serving.listening import check_address
from treadle.serving.log import LOGS
from treadle.serving.predictions import Outcomes, Predictions
from treadle.serving.supervisor import serve

ROW = {"distance": 1400, "temp": None, "carrier": "UA"}
PREDICT = "/v1/endpoints/fares/predict"


@pytest.fixture
def server(shared):
    return shared


@pytest.fixture
def fresh(revise, launch):
    """A server of one test, which may take it down."""
    revise(("champion", 7, 1.0), name="fares")
    return launch(durability="sync")


def test_rows_are_answered_and_logged(server):
    status, answer = server.call(
        PREDICT,
        {"rows": [ROW, ROW], "id": "r1", "subject": "p", "keys": [{"flight_id": "a"}, {"flight_id": "b"}]},
    )

    assert status == 200
    assert answer == {
        "id": "r1",
        "endpoint": "fares",
        "revision": 1,
        "model": "delay",
        "version": 7,
        "variant": "champion",
        "predictions": [
            {"prediction_id": "r1-0", "prediction": True, "probability": 0.007},
            {"prediction_id": "r1-1", "prediction": True, "probability": 0.007},
        ],
    }
    logs = Predictions(server.tables, root=server.root).scan("fares")
    logged = logs.filter(pl.col("request_id") == "r1").sort("row").collect()
    assert logged["key"].to_list() == ['{"flight_id":"a"}', '{"flight_id":"b"}']
    assert logged["subject"].to_list() == ["p", "p"]


def test_columns_are_answered_like_rows(server):
    status, answer = server.call(PREDICT, {"columns": {name: [value, value] for name, value in ROW.items()}})

    assert (status, [p["prediction"] for p in answer["predictions"]]) == (200, [True, True])


def test_a_large_request_is_answered(server):
    status, answer = server.call(PREDICT, {"rows": [ROW] * 1_000})

    assert (status, len(answer["predictions"])) == (200, 1_000)


def test_a_compressed_request_is_answered(server):
    body = gzip.compress(json.dumps({"rows": [ROW]}).encode())

    status, _ = server.call(PREDICT, body, headers={"Content-Encoding": "gzip"})

    assert status == 200


def test_outcomes_are_taken_by_prediction_and_by_key(server):
    sent = [{"prediction_id": "r1-0", "value": True}, {"key": {"flight_id": "a"}, "value": 0.5}]

    status, answer = server.call("/v1/endpoints/delay/outcomes", {"outcomes": sent, "id": "o1"})

    assert (status, answer) == (200, {"id": "o1", "accepted": 2})
    rows = Outcomes(server.tables, root=server.root).scan("delay").sort("outcome_id").collect()
    assert rows.select("prediction_id", "key", "value").rows() == [
        ("r1-0", None, 1.0),
        (None, '{"flight_id":"a"}', 0.5),
    ]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, None),
        (b"[1, 2]", 400, None),
        ({}, 400, "rows"),
        ({"rows": []}, 400, "rows"),
        ({"rows": [ROW], "columns": {}}, 400, "rows"),
        ({"rows": [{**ROW, "distance": "far"}]}, 400, "rows[0].distance"),
        ({"rows": [ROW, {"distance": 1}]}, 400, "rows[1].temp"),
        ({"rows": [{**ROW, "speed": 1}]}, 400, "rows[0].speed"),
        (b'{"rows": [{"distance": 1, "temp": NaN, "carrier": "UA"}]}', 400, "rows[0].temp"),
        (b'{"rows": [{"distance": 1, "temp": 1e999, "carrier": "UA"}]}', 400, "rows[0].temp"),
        ({"rows": [ROW] * 1_001}, 413, "rows"),
        ({"rows": [ROW], "keys": [{}, {}]}, 400, "keys"),
        ({"rows": [ROW], "id": 7}, 400, "id"),
        (b'{"rows": [{"dis\xfftance": 1}]}', 400, None),
        (b'{"columns": {"dis\xfftance": [1]}}', 400, None),
    ],
)
def test_bad_input_is_refused_by_name_and_the_server_goes_on(server, body, status, field):
    found, answer = server.call(PREDICT, body)

    assert (found, answer["error"].get("field")) == (status, field)
    assert len(answer["error"]["message"]) > 20
    assert server.call(PREDICT, {"rows": [ROW]})[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/endpoints/delays/predict", {"rows": [ROW]}, 404),
        ("/v1/endpoints/delays/outcomes", {"outcomes": [{"key": {}, "value": 1}]}, 404),
        ("/v1/endpoints/delay/outcomes", {"outcomes": [{"value": 1}]}, 400),
        ("/v1/endpoints/delay/outcomes", {"outcomes": []}, 400),
        ("/v1/endpoints/delay/outcomes", {"outcomes": [{"prediction_id": "a", "value": 10**400}]}, 400),
        ("/v1/endpoints/delay/outcomes", {"outcomes": [{"key": {}, "value": "late"}]}, 400),
        ("/v1/endpoints/delays/refresh", {}, 404),
        ("/v1/endpoints/delays", None, 404),
        ("/v1/endpoints/%2e%2e%2f/predict", {"rows": [ROW]}, 404),
        ("/nothing", None, 404),
        (PREDICT, None, 405),
        ("/livez", {}, 405),
    ],
)
def test_what_is_not_there_is_said(server, path, body, status):
    found, answer = server.call(path, body)

    assert found == status
    assert "message" in answer["error"]


def bombs():
    row = b'{"distance": 1, "temp": 1, "carrier": "UA"}'
    yield "depth", b'{"rows": ' + b"[" * 40_000 + b"]" * 40_000 + b"}"
    yield "digits", b'{"rows": [' + row.replace(b": 1,", b": " + b"9" * 90_000 + b",", 1) + b"]}"
    yield "keys", b'{"rows": [{' + b",".join(b'"k%d": 1' % n for n in range(8_000)) + b"}]}"
    yield "rows", b'{"rows": [' + b",".join([b"{}"] * 30_000) + b"]}"
    yield "long text", b'{"rows": [' + row.replace(b'"UA"', b"[" + b"1," * 20_000 + b"1]") + b"]}"


@pytest.mark.parametrize("bomb", list(bombs()), ids=lambda bomb: bomb[0])
def test_a11_bombs_are_refused_at_once(server, bomb):
    begun = perf_counter()

    status, answer = server.call(PREDICT, bomb[1])

    assert 400 <= status < 500
    assert perf_counter() - begun < within(1)
    assert len(json.dumps(answer)) < 2_000
    assert server.call(PREDICT, {"rows": [ROW]})[0] == 200


def test_a11_a_gzip_bomb_is_refused(server):
    status, answer = server.call(
        PREDICT, gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}
    )

    assert (status, "when it is unpacked" in answer["error"]["message"]) == (413, True)


def test_a11_a_body_over_the_limit_is_refused_by_its_length(server):
    status, answer = server.call(PREDICT, b" " * 20_000_000)

    assert (status, "serving.max_body" in answer["error"]["message"]) == (413, True)


def test_a11_a_body_over_the_limit_is_refused_while_it_streams(server):
    pieces = iter([b" " * 65_536] * 200)
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("POST", PREDICT, pieces, {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        status = connection.getresponse().status

    assert status == 413
    assert server.call(PREDICT, {"rows": [ROW]})[0] == 200


def test_a11_a_header_of_a_megabyte_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 300_000)
        try:
            connection.sendall(b"a" * 700_000 + b"\r\n\r\n")
            answer = connection.recv(100)
        except ConnectionError:
            answer = b""

    assert answer[9:10] in {b"4", b""}
    assert server.call("/livez")[0] == 200


def test_a_million_rows_are_refused_at_once(revise, launch):
    revise(("champion", 1, 1.0), name="fares")
    server = launch(max_rows=10_000, max_body=200_000_000)
    body = b'{"rows": [' + b",".join([b'{"distance":1,"temp":1,"carrier":"UA"}'] * 1_000_000) + b"]}"
    begun = perf_counter()

    status, _ = server.call(PREDICT, body)

    assert status == 413
    assert perf_counter() - begun < within(5)


def test_health_ready_and_what_is_loaded(server):
    seen = {path: server.call(path) for path in ("/livez", "/readyz", "/v1/endpoints", "/v1/endpoints/fares")}

    assert {path: status for path, (status, _) in seen.items()} == dict.fromkeys(seen, 200)
    (variant,) = seen["/v1/endpoints/fares"][1]["variants"]
    assert variant.pop("memory") >= 0
    assert variant == {
        "name": "champion",
        "model": "delay",
        "version": 7,
        "weight": 1.0,
        "provider": "native",
        "joins": True,
    }


def test_metrics_have_the_prefix_and_no_ids(fresh):
    server = fresh
    server.call(PREDICT, {"rows": [ROW, ROW], "id": "secret-id"})
    server.call(PREDICT, {"rows": []})
    server.call("/v1/endpoints/unknown-name/predict", {"rows": [ROW]})

    text = server.call("/metrics")[1]["text"]

    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert all(name.startswith("treadle_") for name in names)
    assert 'treadle_predictions_total{endpoint="fares",variant="champion",version="7"} 2.0' in text
    assert 'treadle_requests_refused_total{endpoint="fares"} 1.0' in text
    assert "secret-id" not in text
    assert "unknown-name" not in text


def test_a_token_is_asked_for_everywhere_but_for_health(revise, launch, tmp_path):
    revise(("champion", 1, 1.0))
    server = launch(token="s3cret")
    public = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/ping", "/health"}
    public |= {"/docs", "/docs/form.js", "/docs/form.css"}  # which show nothing without it
    routes = build(tmp_path, ServingSettings()).routes
    made = {(r.method, r.path.format(endpoint="delay", version="1")) for r in routes} | {("GET", "/nothing")}

    right = server.call("/v2", headers={"Authorization": "Bearer s3cret"})[0]
    statuses = {
        (method, path): server.call(path, {} if method == "POST" else None, headers=headers)[0]
        for method, path in made
        for headers in ({}, {"Authorization": "Bearer wrong"})
    }

    assert {path for (_, path), status in statuses.items() if status == 200} == public
    assert {status for (_, path), status in statuses.items() if path not in public} == {401, 429}
    assert right == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_a9_listening_off_loopback_without_a_token_is_refused(host):
    with pytest.raises(AuthRequired, match=r"serving\.token"):
        check_address(ServingSettings(host=host))

    check_address(ServingSettings(host=host, token="s3cret"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", ServingSettings().host])
def test_a9_loopback_needs_no_token(host):
    check_address(ServingSettings(host=host))


def test_a9_the_server_binds_loopback_by_default(server):
    held = subprocess.run(["cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout

    listening = [line.split()[1] for line in held.splitlines()[1:] if line.split()[3] == "0A"]

    assert [a for a in listening if a.endswith(f":{server.port:04X}")] == [f"0100007F:{server.port:04X}"]


def test_a_port_that_is_taken_is_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(InvalidInput, match=r"serving\.port"):
            serve(ServingSettings(port=taken.getsockname()[1]), factory=lambda: None)


def test_sigterm_answers_what_has_begun_ships_the_log_and_exits_with_0(fresh, tables, endpoints):
    server = fresh
    for _ in range(20):
        server.call(PREDICT, {"rows": [ROW]})

    code = server.stop()

    assert code == 0
    assert tables.scan("predictions/fares").collect().height == 20
    assert list((server.root / LOGS).iterdir()) == []
    assert endpoints.states("fares") == []


def test_workers_end_with_the_process_that_started_them(fresh):
    server = fresh
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()

    end = perf_counter() + 60
    while perf_counter() < end:
        try:
            server.call("/livez", timeout=1)
        except OSError:
            break
        threading.Event().wait(0.05)

    with pytest.raises(OSError, match="refused"):
        server.call("/livez", timeout=1)


def test_several_workers_refresh_together(revise, launch, tables, tmp_path):
    revise(("champion", 1, 1.0), name="fares")
    server = launch(workers=2, durability="sync", poll_interval=0.3)
    seen = set()

    for version in range(2, 6):
        revise(("champion", version, 1.0), name="fares")
        status, _ = server.call("/v1/endpoints/fares/refresh", {})
        assert status == 200
        seen |= {(version, server.call(PREDICT, {"rows": [ROW]})[1]["version"]) for _ in range(10)}

    assert {asked - answered for asked, answered in seen} == {0}
    assert Predictions(tables, root=tmp_path).scan("fares").collect().height == 40


def test_loaded_models_answer_while_ledger_and_tables_are_gone(fresh, tables, tmp_path):
    server = fresh
    (tmp_path / "ledger.db").rename(tmp_path / "ledger.away")
    (tmp_path / "tables").rename(tmp_path / "tables.away") if (tmp_path / "tables").exists() else None
    (tmp_path / "tables").write_text("a file where the folder should be")

    statuses = {server.call(PREDICT, {"rows": [ROW]})[0] for _ in range(20)}
    refreshed = server.call("/v1/endpoints/fares/refresh", {})[0]
    (tmp_path / "tables").unlink()
    (tmp_path / "ledger.away").rename(tmp_path / "ledger.db")

    assert statuses == {200}
    assert refreshed == 503
    assert Predictions(tables, root=tmp_path).scan("fares").collect().height == 20


def test_metrics_are_those_of_all_workers(revise, launch):
    revise(("champion", 1, 1.0), name="fares")
    server = launch(workers=2)
    for _ in range(40):
        server.call(PREDICT, {"rows": [ROW]})
    wanted = 'treadle_predictions_total{endpoint="fares",variant="champion",version="1"} 40.0'

    end = perf_counter() + 60
    texts = []
    while perf_counter() < end and len(texts) < 5:
        text = server.call("/metrics")[1]["text"]
        texts = [*texts, text] if wanted in text else []
        threading.Event().wait(0.1)

    assert len(texts) == 5
    assert all('treadle_endpoint_revision{endpoint="fares"} 1.0' in text for text in texts)
