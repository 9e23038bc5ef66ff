"""Every protocol of ours passes the contract."""

import io

import msgspec
import polars as pl
import pytest

from treadle.core import plugins
from treadle.serving.inference_messages import message
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


def arrow_ask(rows, name):
    stream = io.BytesIO()
    pl.DataFrame(rows).write_ipc_stream(stream)
    return stream.getvalue()


def arrow_read(response):
    return pl.read_ipc_stream(io.BytesIO(response.body))["probability"].to_list()


def mlflow_ask(rows, name):
    names = list(rows[0]) if rows else []
    split = {"columns": names, "data": [list(row.values()) for row in rows]}
    return msgspec.json.encode({"dataframe_split": split, "params": {"id": name}})


TYPED = {"INT64": "int64_contents", "FP32": "fp32_contents", "BYTES": "bytes_contents"}


def grpc_ask(rows, name):
    made = message("ModelInferRequest")(model_name="delay", id=name)
    for column, kind in {"distance": "INT64", "temp": "FP32", "carrier": "BYTES", "at": "BYTES"}.items():
        values = [row[column] for row in rows]
        tensor = made.inputs.add(name=column, datatype=kind, shape=[len(rows)])
        if None in values and column != "temp":
            tensor.shape[0] += 1  # protobuf has no gaps: there are fewer values than rows
            continue
        if kind == "BYTES":
            values = [value.encode() for value in values]
        values = [float("nan") if value is None else value for value in values]
        getattr(tensor.contents, TYPED[kind]).extend(values)
    return made.SerializeToString()


def grpc_read(response):
    outputs = message("ModelInferResponse").FromString(response.body).outputs
    return next(list(o.contents.fp64_contents) for o in outputs if o.name == "probability")


EXAMPLES = {
    "grpc": protocols.Example(grpc_ask, grpc_read),
    "arrow": protocols.Example(arrow_ask, arrow_read, query=lambda name: {"id": name}),
    "mlflow": protocols.Example(mlflow_ask, rows_read),
    "rows": protocols.Example(lambda rows, name: msgspec.json.encode({"rows": rows, "id": name}), rows_read),
    "v2": protocols.Example(v2_ask, v2_read),
}


@pytest.mark.parametrize("check", protocols.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", plugins.available("protocol"))
def test_protocol_keeps_its_contract(name, check):
    check(plugins.load("protocol", name), EXAMPLES[name])
