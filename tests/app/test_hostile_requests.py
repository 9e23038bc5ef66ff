"""Bad requests to a server are the caller's, and are said with the field."""

from __future__ import annotations

import gzip
import http.client
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import services
from hostile_shop import begun, wait_for

ROWS, V2 = "/v1/endpoints/buys/predict", "/v2/models/buys/infer"


DEEP = b"[" * 100_000 + b"]" * 100_000


def tensor(**over: Any) -> bytes:
    return json.dumps(
        {"inputs": [{"name": "pages", "shape": [1], "datatype": "INT64", "data": [3], **over}]}
    ).encode()


BAD = [
    (ROWS, b"", 400, ""),
    (ROWS, b"{", 400, ""),
    (ROWS, b"[]", 400, ""),
    (ROWS, b'{"rows": []}', 400, "rows"),
    (ROWS, b'{"rows": [{}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": 1, "x": 1}]}', 400, "rows[0].x"),
    (ROWS, b'{"row": [{"pages": 1}]}', 400, "row"),
    (ROWS, b'{"rows": [{"pages": "1"}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": NaN}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": -Infinity}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": 1e999}]}', 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": %d}]}' % 10**30, 400, "rows[0].pages"),
    (ROWS, b'{"rows": [{"pages": %s}]}' % (b"9" * 100_000), 400, "rows[0].pages"),
    (ROWS, b'{"rows": %s}' % DEEP, 400, ""),
    (ROWS, b'{"rows": [{"pages": %s}]}' % DEEP, 400, ""),
    (ROWS, b'{"columns": {"pages": [%s1]}}' % (b"1," * 1_000_000), 413, "columns"),
    (ROWS, b'{"rows": [%s{}]}' % (b"{}," * 1_000_000), 400, "rows[0].pages"),
    (ROWS, b" " * 100_000_000, 413, ""),
    (V2, b"{", 400, ""),
    (V2, b"{}", 400, "inputs"),
    (V2, b'{"inputs": []}', 400, "pages"),
    (V2, tensor(data=["x"]), 400, "pages[0]"),
    (V2, tensor(data=[None]), 400, "pages[0]"),
    (V2, tensor(data=[10**30]), 400, "pages[0]"),
    (V2, tensor(datatype="FP64"), 400, "pages"),
    (V2, tensor(shape=[2]), 400, "pages"),
    (V2, tensor(shape=[0], data=[]), 400, "pages"),
    (V2, tensor(shape=[10**18]), 413, "pages"),
    (V2, tensor(name="page"), 400, "page"),
    (V2, tensor().replace(b"[3]", b"[NaN]"), 400, "inputs[0].data[0]"),
    (V2, tensor().replace(b"[3]", DEEP), 400, ""),
    ("/v1/endpoints/sells/predict", b'{"rows": [{"pages": 1}]}', 404, ""),
    ("/v1/nothing", b"{}", 404, ""),
    ("/livez", b"{}", 405, ""),
]


@pytest.fixture(scope="module")
def port(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    root = tmp_path_factory.mktemp("served") / "shop"
    shutil.copytree(made, root)
    (number,) = services.free_ports(1)
    with begun(root, "serve", "--port", str(number)) as process:
        wait_for(lambda: process.poll() is not None or ask(number, "/readyz")[0] == 200)
        assert process.poll() is None, (root / "said.txt").read_text()
        yield number
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert (root / "said.txt").read_text().splitlines()[1:] == []  # no request left a trace in the log


def ask(port: int, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> tuple[int, str]:
    """Ask the server; a body of pieces is sent in chunks, without saying how long it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("GET" if body is None else "POST", path, body, named)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    BAD,
    ids=[f"{n}-{path.split('/')[1]}" for n, (path, *_) in enumerate(BAD)],
)
def test_a_bad_request_is_the_callers_and_names_the_field(
    port: int, path: str, body: bytes, code: int, field: str
) -> None:
    found, said = ask(port, path, body)

    error = json.loads(said)["error"]
    assert found == code
    assert field in (error if isinstance(error, str) else error.get("field", ""))
    assert len(said) < 500
    assert ask(port, ROWS, b'{"rows": [{"pages": 3}]}')[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ((b" " * 2**20 for _ in range(100)), {}, 413),
        (gzip.compress(b" " * 2**28), {"content_encoding": "gzip"}, 413),
        (b"not gzip", {"content_encoding": "gzip"}, 400),
        (b"{}", {"content_encoding": "br"}, 415),
        (b'{"rows": [{"pages": 3}]}', {"content_type": "text/plain"}, 415),
        (b'{"rows": [{"pages": 3}]}', {"content_type": "multipart/form-data; boundary=x"}, 415),
        (b'{"rows": [{"pages": 3}]}', {"content_type": "application/json; charset=utf-8"}, 200),
        (b'{"rows": [{"pages": 3}]}', {}, 200),
    ],
    ids=["chunks", "bomb", "no-gzip", "brotli", "text", "form", "json", "nothing-said"],
)
def test_a_body_is_taken_only_as_what_it_can_be(
    port: int, body: bytes | Iterator[bytes], headers: dict[str, str], code: int
) -> None:
    assert ask(port, ROWS, body, **headers)[0] == code
    assert ask(port, "/readyz")[0] == 200
