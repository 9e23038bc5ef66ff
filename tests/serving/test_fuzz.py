"""A10 and A11's first half: whatever comes, a server refuses or answers, does not fail and does not grow.

Full size with TREADLE_FULL=1: 20,000 requests of damaged bytes, and schemathesis with all its phases.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pytest
from trials import until

import byte_fuzz
from pace import FULL, within

AT = "/v1/endpoints/fares"


@pytest.fixture
def server(revise, launch):
    revise(("champion", 7, 1.0), name="fares")
    return launch(max_body=2_000_000, max_rows=1_000)


def memory(server) -> float:
    """MB of memory of the server's processes that nobody else has."""
    workers, _ = server.children()
    found = 0
    for process in [server.process.pid, *workers]:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        found += sum(int(kb) for kb in re.findall(r"^Private_\w+: +(\d+) kB", rollup, re.MULTILINE))
    return found / 1024


def test_every_seed_is_answered(server):
    fuzzer = byte_fuzz.Fuzzer(server.port, 0)

    for path, headers, body in byte_fuzz.seeds():
        given = {**headers, "Host": "localhost", "Connection": "close", "Content-Length": str(len(body))}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        assert fuzzer.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body) == 200, path


def test_damaged_requests_of_every_protocol_are_refused_or_answered_and_memory_is_flat(server):
    count = 20_000 if FULL else 600
    fuzzer = byte_fuzz.Fuzzer(server.port, 11)
    for _ in range(count // 4):
        fuzzer.send(byte_fuzz.make(fuzzer.draw, byte_fuzz.seeds()))
    # When rows are first brought into their table, 120 MB of libraries are loaded for that; a small run ends before.
    if FULL:
        until((server.root / "tables" / "predictions" / "fares" / "_delta_log").exists)
    before = memory(server)

    for _ in range(count - count // 4):
        fuzzer.send(byte_fuzz.make(fuzzer.draw, byte_fuzz.seeds()))

    assert not fuzzer.failed, (fuzzer.failed[:3], (server.root / "server.log").read_text()[-3000:])
    assert set(fuzzer.statuses) <= {0, 200, 400, 401, 404, 405, 408, 413, 414, 415, 417, 421, 431, 499}, (
        fuzzer.statuses
    )
    assert fuzzer.statuses[200] > count / 20
    assert fuzzer.statuses[400] > count / 4
    assert fuzzer.statuses[0] < count / 10
    assert server.process.poll() is None
    assert "Traceback" not in (server.root / "server.log").read_text()
    assert memory(server) - before < (40 if FULL else 200)


#: Small requests that ask for much; each of every path that reads such a body.
BOMBS = {
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"rows":' * 100_000,
    "deep inside": b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 100,000 digits": b'{"rows": [{"distance": ' + b"9" * 100_000 + b"}]}",
    "many keys": b'{"rows": [{' + b",".join(b'"k%d": 1' % n for n in range(100_000)) + b"}]}",
    "many inputs": b'{"inputs": {' + b",".join(b'"k%d": [1]' % n for n in range(100_000)) + b"}}",
    "many columns": b'{"dataframe_split": {"columns": ["a"], "data": [[' + b"1," * 500_000 + b"1]]}}",
    "many rows": b'{"rows": [' + b"{}," * 300_000 + b"{}]}",
    "many records": b'{"dataframe_records": [' + b"{}," * 300_000 + b"{}]}",
    "a long name": b'{"rows": [{"' + b"x" * 1_000_000 + b'": 1}]}',
    "a long text": b'{"id": "' + b"x" * 1_000_000 + b'", "rows": []}',
    "lines": b"distance,temp,carrier\n" + b"1,1,1\n" * 200_000,
    "commas": b"," * 1_000_000 + b"\n" + b"," * 900_000,
    "nothing but zeros": b"\0" * 1_900_000,
}


@pytest.mark.parametrize(
    ("path", "media"),
    [
        (f"{AT}/predict", "application/json"),
        (f"{AT}/predict", "application/vnd.apache.arrow.stream"),
        ("/v2/models/fares/infer", "application/json"),
        ("/v2/models/fares/infer", "application/x-protobuf"),
        (f"{AT}/invocations", "application/json"),
        (f"{AT}/invocations", "text/csv"),
        (f"{AT}/outcomes", "application/json"),
    ],
)
def test_a11_small_requests_that_ask_for_much_are_refused_soon(shared_small, path, media):
    before = memory(shared_small)
    for name, body in BOMBS.items():
        began = perf_counter()
        status, _ = _call(shared_small, path, body, {"Content-Type": media})
        took = perf_counter() - began
        assert 400 <= status < 500, (name, status)
        assert took < within(1), (name, took)

    packed = gzip.compress(b"\0" * 200_000_000)
    assert _call(shared_small, path, packed, {"Content-Type": media, "Content-Encoding": "gzip"})[0] == 413
    assert memory(shared_small) - before < 60
    assert shared_small.call(f"{AT}/predict", {"rows": [byte_fuzz.ROW]})[0] == 200


@pytest.fixture(scope="module")
def shared_small(tmp_path_factory):
    """A server that the bombs share."""
    from serving_process import launching

    from treadle.core.clock import SystemClock
    from treadle.core.records import Variant
    from treadle.serving.endpoints import Endpoints
    from treadle.store.ledger.ledger import Ledger

    root = tmp_path_factory.mktemp("bombs")
    ledger = Ledger.open("sqlite:///ledger.db", root=root)
    alone = [Variant(name="champion", model="delay", version=7)]
    Endpoints(ledger, SystemClock()).revise("fares", alone, actor="test", reason="asked for", expected=0)
    ledger.close()
    with launching(root) as start:
        yield start(max_body=2_000_000, max_rows=1_000)


def _call(server, path, body, headers):
    status, answer = server.call(path, body, headers=headers)
    assert len(json.dumps(answer)) < 20_000  # a refusal does not send back what came
    return status, answer


@pytest.mark.timeout(3600)
def test_a10_schemathesis_finds_no_failure_and_no_status_that_is_not_documented(shared, tmp_path):
    pytest.importorskip("schemathesis")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        "--checks",
        checks,
        "--mode",
        "all",
    ]
    command += [
        "--workers",
        "1",
        "--seed",
        "5",
        "--no-color",
        "--continue-on-failure",
        "--request-timeout",
        "20",
    ]
    command += ["--suppress-health-check", "all", "--generation-database", "none"]
    command += (
        ["--phases", "examples,coverage,fuzzing", "--max-examples", "600"]
        if FULL
        else [
            "--phases",
            "fuzzing",
            "--max-examples",
            "4",
            "--include-path-regex",
            "^/v./.*fares/(predict|infer|invocations|outcomes)$",
        ]
    )

    done = subprocess.run(
        [*command, f"http://127.0.0.1:{shared.port}/openapi.json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
    cases = int(re.search(r"([\d,]+) generated", done.stdout)[1].replace(",", ""))
    assert cases >= (10_000 if FULL else 10)
