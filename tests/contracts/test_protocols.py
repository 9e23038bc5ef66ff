"""Every protocol of ours passes the contract."""

import msgspec
import pytest

from treadle.core import plugins
from treadle.testing import protocols


def v2_ask(rows, name):
    types = {"distance": "INT64", "temp": "FP32", "carrier": "BYTES", "at": "BYTES"}
    inputs = [
        {"name": column, "shape": [len(rows)], "datatype": kind, "data": [row[column] for row in rows]}
        for column, kind in types.items()
    ]
    return msgspec.json.encode({"inputs": inputs, "id": name})


def v2_read(response):
    outputs = msgspec.json.decode(response.body)["outputs"]
    return next(output["data"] for output in outputs if output["name"] == "probability")


def rows_read(response):
    return [row["probability"] for row in msgspec.json.decode(response.body)["predictions"]]


EXAMPLES = {
    "rows": protocols.Example(lambda rows, name: msgspec.json.encode({"rows": rows, "id": name}), rows_read),
    "v2": protocols.Example(v2_ask, v2_read),
}


@pytest.mark.parametrize("check", protocols.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", plugins.available("protocol"))
def test_protocol_keeps_its_contract(name, check):
    check(plugins.load("protocol", name), EXAMPLES[name])
