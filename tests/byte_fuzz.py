"""Requests that are right but for some bytes, as raw HTTP: what a server must refuse without a stumble."""

from __future__ import annotations

import io
import json
import random
import socket
import struct
from collections import Counter

import numpy as np
import polars as pl

from treadle.serving.inference_messages import message

ROW = {"distance": 1400, "temp": 3.5, "carrier": "UA"}
#: Values that were trouble somewhere once.
ODD = [
    *(
        "null",
        "NaN",
        "-Infinity",
        "1e999",
        "-0",
        "1e-400",
        "9223372036854775808",
        "1" * 400,
        "[]",
        "{}",
        '""',
        "true",
    ),
    *(
        '"\\u0000"',
        '"\\ud800"',
        '"\ud7ff"',
        '"2013-13-45"',
        '"%00"',
        '"' + "x" * 3000 + '"',
        "[" * 500,
        "{}}",
        "\x00",
        "0x10",
    ),
    *(
        '{"rows": []}',
        "[[[1]]]",
        "1_000",
        "'a'",
        "//",
        "1.5",
        '{"$ref": "#"}',
        "-9223372036854775809",
        "1e308",
        '"NaN"',
    ),
]
METHODS = ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "post", "X"]
_NAMES = ["distance", "temp", "carrier"]
_TYPES = {"distance": "INT64", "temp": "FP32", "carrier": "BYTES"}
_ARRAYS = {"distance": np.array([1400, 200]), "temp": np.array([3.5, 1], np.float32)}


def _json(value):
    return json.dumps(value).encode()


def _v2(*, binary):
    inputs, blobs = [], []
    for name, kind in _TYPES.items():
        one = {"name": name, "shape": [2], "datatype": kind}
        if binary:
            texts = b"".join(struct.pack("<I", 2) + text for text in (b"UA", b"AA"))
            blobs.append(_ARRAYS[name].tobytes() if name in _ARRAYS else texts)
            one["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            one["data"] = _ARRAYS[name].tolist() if name in _ARRAYS else ["UA", "AA"]
        inputs.append(one)
    return _json({"inputs": inputs, "id": "f", "outputs": [{"name": "probability"}]}), b"".join(blobs)


def _arrow():
    stream = io.BytesIO()
    pl.DataFrame([ROW, ROW]).write_ipc_stream(stream)
    return stream.getvalue()


def _protobuf():
    made = message("ModelInferRequest")(model_name="fares")
    for name, kind in _TYPES.items():
        made.inputs.add(name=name, datatype=kind, shape=[2])
    made.raw_input_contents.extend(
        [_ARRAYS["distance"].tobytes(), _ARRAYS["temp"].tobytes(), b"\x01\0\0\0a" * 2]
    )
    return made.SerializeToString()


def seeds() -> list[tuple[str, dict[str, str], bytes]]:
    """Return requests that are right, of every protocol: path, headers, body."""
    head, blobs = _v2(binary=True)
    at = "/v1/endpoints/fares"
    text = {"Content-Type": "application/json"}
    split = {"dataframe_split": {"columns": _NAMES, "data": [list(ROW.values())] * 2}}
    return [
        (f"{at}/predict", text, _json({"rows": [ROW, ROW], "subject": "p", "keys": [{"a": 1}, {"a": 2}]})),
        (
            f"{at}/predict",
            text,
            _json({"columns": {name: [value] for name, value in ROW.items()}, "id": "f"}),
        ),
        (f"{at}/predict", {"Content-Type": "application/vnd.apache.arrow.stream"}, _arrow()),
        (
            f"{at}/outcomes",
            text,
            _json({"outcomes": [{"prediction_id": "f-0", "value": 1}, {"key": {"a": 1}, "value": True}]}),
        ),
        ("/v2/models/fares/infer", text, _v2(binary=False)[0]),
        (
            "/v2/models/fares/versions/7/infer",
            {"Inference-Header-Content-Length": str(len(head))},
            head + blobs,
        ),
        ("/v2/models/fares/infer", {"Content-Type": "application/x-protobuf"}, _protobuf()),
        (f"{at}/invocations", text, _json(split)),
        (
            f"{at}/invocations",
            text,
            _json({"inputs": {name: [value] for name, value in ROW.items()}, "params": {"id": "f"}}),
        ),
        (f"{at}/invocations", {"Content-Type": "text/csv"}, b"distance,temp,carrier\n1400,3.5,UA\n200,,AA\n"),
    ]


def _damaged(draw: random.Random, data: bytes) -> bytes:
    """Return bytes of which some are others, gone, twice or something odd."""
    made = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        if not made:
            break
        place, span = draw.randrange(len(made)), draw.randint(1, 12)
        how = draw.randrange(6)
        if how == 0:
            made[place] = draw.randrange(256)
        elif how == 1:
            del made[place : place + span]
        elif how == 2:
            made[place:place] = made[place : place + span] * draw.randint(1, 30)
        elif how == 3:
            made[place : place + draw.randint(0, 8)] = draw.choice(ODD).encode("utf-8", "surrogatepass")
        elif how == 4:
            made[place : place + 4] = struct.pack("<i", draw.choice([-1, 0, 1, 2**31 - 1, -(2**31), 65536]))
        else:
            made = made[:place]
    return bytes(made)


def _other(draw: random.Random, body: bytes) -> bytes:
    """Return a JSON body in which a value, somewhere, is another one; other bodies are damaged."""
    try:
        tree = json.loads(body)
    except ValueError:
        return _damaged(draw, body)
    node, parent, key = tree, None, None
    while isinstance(node, dict | list) and node and draw.random() < 0.8:
        parent, key = node, draw.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node = parent[key]
    if parent is None:
        return draw.choice(ODD).encode("utf-8", "surrogatepass")
    mark = "@@here@@"
    if draw.random() < 0.2 and isinstance(parent, dict):
        parent[draw.choice(["", "x", "rows", "\u0000", "id", "data" * 50])] = parent.pop(key)
        return json.dumps(tree).encode()
    parent[key] = mark
    return json.dumps(tree).replace(f'"{mark}"', draw.choice(ODD)).encode("utf-8", "surrogatepass")


def make(draw: random.Random, given: list[tuple[str, dict[str, str], bytes]]) -> bytes:
    """Return one request as it goes over the wire, out of those that are right: path, headers, body."""
    path, headers, body = draw.choice(given)
    how = draw.random()
    if how < 0.4:
        body = _other(draw, body)
    elif how < 0.8:
        body = _damaged(draw, body)
    headers = {**headers, "Host": "localhost", "Connection": "close", "Content-Length": str(len(body))}
    if draw.random() < 0.15:
        name = draw.choice(
            [
                *(name for name in headers if name[0] != ":"),
                "Content-Encoding",
                "Expect",
                "Treadle-Timeout",
                "Range",
                "Authorization",
                "Accept",
            ]
        )
        odd = [
            "",
            "gzip",
            "-1",
            "1e9",
            "\xff\xfe",
            "bytes=0-" + ",0-" * 99,
            "x" * 2000,
            "identity",
            "100-continue",
            "0",
            "nan",
            "text/xml",
        ]
        headers[name] = draw.choice(odd)
    if draw.random() < 0.1:
        path = draw.choice(
            [
                path + "?" + "a=%ff&" * 3,
                path + "?keys=%00&id=" + "y" * 300,
                path.replace("fares", "%2e%2e%2f%00"),
                path + "/",
                "/" + path,
            ]
        )
    method = headers.pop(":method", "POST") if draw.random() < 0.97 else draw.choice(METHODS)
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items() if name[0] != ":"),
    ]
    whole = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body
    return _damaged(draw, whole) if draw.random() < 0.05 else whole


def _is_whole(data: bytes) -> bool:
    """Whether a server can know that this is all of a request; what is damaged is not waited for."""
    head, _, body = data.partition(b"\r\n\r\n")
    return b"\r\nConnection: close\r\n" in head and f"\r\nContent-Length: {len(body)}".encode() in head


class Fuzzer:
    """Sends requests one after the other and counts what comes back."""

    def __init__(self, port: int, seed: int) -> None:
        self._port, self.draw = port, random.Random(seed)
        self.statuses: Counter[int] = Counter()
        #: Requests that were answered with 5xx.
        self.failed: list[bytes] = []

    def send(self, data: bytes) -> int:
        """Return the status; 0: none, as where the request is no HTTP or not whole."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=10) as connection:
            answer = b""
            try:
                connection.sendall(data)
                connection.settimeout(10 if _is_whole(data) else 0.2)
                while piece := connection.recv(65536):
                    answer += piece
            except (ConnectionError, TimeoutError):
                pass
        parts = answer.split(b" ", 2)
        status = int(parts[1]) if answer.startswith(b"HTTP/1.") and parts[1].isdigit() else 0
        if status == 100:
            status = 0
        self.statuses[status] += 1
        if status >= 500:
            self.failed.append(data)
        return status
