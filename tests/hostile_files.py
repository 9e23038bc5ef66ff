"""Sixty model files that touch a canary when their code runs: what an attacker would upload as a model."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import marshal
import pickle
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import onnx
import skops.io
from onnx import TensorProto, helper
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


@dataclass(frozen=True)
class Hostile:
    """A file, what it is, and a word that the refusal must hold (empty: any refusal will do)."""

    name: str
    data: bytes
    names: str = ""


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def hostile_files(canary: Path) -> list[Hostile]:
    """Return the files; each would create the canary."""
    makers = (_pickles, _joblibs, _cloudpickles, _arrays, _torches, _kerases, _onnxes, _skopses, _archives)
    return [file for maker in makers for file in maker(canary)]


def _calls(canary: Path) -> dict[str, Calls]:
    import os
    import subprocess

    code = f"__import__('pathlib').Path({str(canary)!r}).touch()"
    return {
        "posix.system": Calls(os.system, f"touch {canary}"),
        "builtins.exec": Calls(exec, code),
        "builtins.eval": Calls(eval, code),
        "posix.mknod": Calls(os.mknod, str(canary)),
        "subprocess.Popen": Calls(subprocess.Popen, ["touch", str(canary)]),
        "os.makedirs": Calls(os.makedirs, str(canary)),
    }


def _pickles(canary: Path) -> Iterator[Hostile]:
    calls = _calls(canary)
    for name, call in calls.items():
        yield Hostile(f"pickle of {name}", pickle.dumps(call), name)
    for protocol in range(5):
        yield Hostile(
            f"pickle, protocol {protocol}", pickle.dumps(calls["posix.system"], protocol=protocol), "system"
        )
    yield Hostile("pickle in a list", pickle.dumps([1, {"model": calls["builtins.exec"]}]), "builtins.exec")
    text = f"(S'touch {canary}'\nios\nsystem\n."
    yield Hostile("pickle, INST", text.encode(), "os.system")
    yield Hostile("pickle, GLOBAL and REDUCE", f"cos\nsystem\n(S'touch {canary}'\ntR.".encode(), "os.system")
    yield Hostile("pickle with a tail", pickle.dumps(calls["posix.system"]) + b"\x00" * 64, "posix.system")
    yield Hostile("pickle without an end", pickle.dumps(calls["posix.system"])[:-1], "posix.system")


def _joblibs(canary: Path) -> Iterator[Hostile]:
    call = _calls(canary)["posix.system"]
    for how in (0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)):
        file = io.BytesIO()
        joblib.dump({"model": call}, file, compress=how)
        yield Hostile(f"joblib, {how}", file.getvalue(), "posix.system")
    data = pickle.dumps(call)
    yield Hostile("zlib of a pickle", zlib.compress(data), "posix.system")
    yield Hostile("gzip of a pickle", gzip.compress(data), "posix.system")
    yield Hostile("bz2 of a pickle", bz2.compress(data), "posix.system")
    yield Hostile("xz of a pickle", lzma.compress(data), "posix.system")


def _cloudpickles(canary: Path) -> Iterator[Hostile]:
    target = str(canary)

    class Model:
        def __setstate__(self, state: object) -> None:
            Path(target).touch()

    model = Model()
    model.fitted = True
    yield Hostile("cloudpickle of a class", cloudpickle.dumps(model), "cloudpickle")
    yield Hostile("cloudpickle of a function", cloudpickle.dumps(lambda: Path(target).touch()), "cloudpickle")


def _arrays(canary: Path) -> Iterator[Hostile]:
    held = np.array([_calls(canary)["posix.system"]], dtype=object)
    one, many = io.BytesIO(), io.BytesIO()
    np.save(one, held, allow_pickle=True)
    np.savez(many, weights=np.zeros(3), model=held)
    yield Hostile("npy of objects", one.getvalue(), "posix.system")
    yield Hostile("npz of objects", many.getvalue(), "posix.system")
    yield Hostile("npz of objects, packed", _zip({"model.npy": one.getvalue()}), "posix.system")


def _torches(canary: Path) -> Iterator[Hostile]:
    data = pickle.dumps(_calls(canary)["posix.system"], protocol=2)
    yield Hostile("torch archive", _zip({"archive/data.pkl": data, "archive/version": b"3\n"}), "system")
    code = b"def forward(self, x):\n  return x\n"
    script = {"m/data.pkl": data, "m/code/__torch__.py": code, "m/constants.pkl": pickle.dumps((), 2)}
    yield Hostile("torch script", _zip(script), "system")
    yield Hostile("torch, old", pickle.dumps(0x1950A86A20F9469CFC6C, 2) + data)
    yield Hostile(
        "torch export", _zip({"p/data/sample_inputs/model.pt": _zip({"a/data.pkl": data})}), "system"
    )


def _kerases(canary: Path) -> Iterator[Hostile]:
    code = marshal.dumps(compile(f"open({str(canary)!r}, 'w').close()", "x", "exec"))
    function = {"class_name": "__lambda__", "config": {"code": base64.b64encode(code).decode()}}
    layer = {"class_name": "Lambda", "module": "keras.layers", "config": {"function": function}}
    nested = {"class_name": "Functional", "config": {"layers": [{"config": {"layers": [layer]}}]}}
    call = {"class_name": "system", "module": "os", "config": f"touch {canary}", "registered_name": "system"}
    for name, config, word in (
        ("lambda", layer, "Lambda"),
        ("nested lambda", nested, "Lambda"),
        ("a function of another module", call, ""),
    ):
        members = {"config.json": json.dumps(config).encode(), "metadata.json": b"{}"}
        yield Hostile(f"keras, {name}", _zip(members), word)
    yield Hostile("keras h5", b"\x89HDF\r\n\x1a\n" + json.dumps(layer).encode(), "HDF5")


def _onnxes(canary: Path) -> Iterator[Hostile]:
    for location in ("../../../../etc/passwd", "/etc/passwd", "..\\secret", f"{canary}", "golden.msgpack"):
        yield Hostile(f"onnx with data in {location}", _onnx(_external(location)), "external data")
    inner = helper.make_graph([], "then", [], [], [_external("../x")])
    branch = helper.make_node("If", ["x"], ["prediction"], then_branch=inner, else_branch=inner)
    yield Hostile("onnx with data in a branch", _onnx(None, branch), "external data")
    constant = helper.make_node("Constant", [], ["prediction"], value=_external("../x"))
    yield Hostile("onnx with data in a constant", _onnx(None, constant), "external data")
    foreign = helper.make_node("PyOp", ["x"], ["prediction"], domain="ai.onnx.contrib", code="import os")
    yield Hostile("onnx with an operator of Python", _onnx(None, foreign))


def _onnx(initializer: TensorProto | None, *nodes: onnx.NodeProto) -> bytes:
    held = list(nodes) or [helper.make_node("Add", ["x", "w"], ["prediction"])]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        held,
        "g",
        [value("x", 1, [None, 1])],
        [value("prediction", 11, [None, 1])],
        [initializer] if initializer else [],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.contrib", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def _external(location: str) -> TensorProto:
    found = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    found.data_location = TensorProto.EXTERNAL
    found.external_data.add(key="location", value=location)
    return found


def _skopses(canary: Path) -> Iterator[Hostile]:
    x = np.arange(6.0).reshape(-1, 1)
    for name, function in (("os.system", __import__("os").system), ("exec", exec), ("open", open)):
        model = make_pipeline(FunctionTransformer(function), LinearRegression())
        yield Hostile(f"skops with {name}", skops.io.dumps(model), name.rpartition(".")[2])
    plain = skops.io.dumps(LinearRegression().fit(x, x[:, 0]))
    for name, node in _nodes(canary).items():
        yield Hostile(f"skops, {name}", _edited(plain, node), "")
    member = {"schema.json": b"{}", "1.npy": pickle.dumps(_calls(canary)["posix.system"])}
    yield Hostile("skops with a pickle", _zip(member), "posix.system")


def _nodes(canary: Path) -> dict[str, dict[str, object]]:
    """Return parts of a skops schema that call something when they are made into objects."""
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "__id__": 9}
    touch = {**text, "content": json.dumps(f"touch {canary}")}
    arguments = {
        "__class__": "tuple",
        "__module__": "builtins",
        "__loader__": "TupleNode",
        "__id__": 8,
        "content": [touch],
    }
    return {
        "a type": {"__class__": "system", "__module__": "os", "__loader__": "TypeNode", "__id__": 7},
        "a function": {"__class__": "function", "__module__": "builtins", "__loader__": "FunctionNode",
                       "content": {"module_path": "os", "function": "system"}, "__id__": 7},
        "a reduced object": {"__class__": "system", "__module__": "os", "__loader__": "ReduceNode",
                             "__reduce__": {"args": arguments}, "content": {}, "__id__": 7},
        "an object": {"__class__": "Popen", "__module__": "subprocess", "__loader__": "ObjectNode", "content": touch, "__id__": 7},
        "a method": {"__class__": "method", "__module__": "builtins", "__loader__": "MethodNode", "__id__": 7,
                     "content": {"func": "system", "obj": {**text, "__module__": "os", "__class__": "system"}}},
        "a partial": {"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode", "__id__": 7,
                      "content": {"func": {"__class__": "system", "__module__": "os", "__loader__": "TypeNode", "__id__": 6},
                                  "args": arguments, "kwds": arguments, "namespace": arguments}},
    }  # fmt: skip


def _edited(plain: bytes, node: dict[str, object]) -> bytes:
    """Return a skops file whose model is another node."""
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        schema = json.loads(archive.read("schema.json"))
    about = {key: schema[key] for key in ("protocol", "_skops_version")}
    return _zip({"schema.json": json.dumps({**node, **about}).encode()})


def _archives(canary: Path) -> Iterator[Hostile]:
    data = pickle.dumps(_calls(canary)["posix.system"])
    yield Hostile("zip in a zip", _zip({"model.zip": _zip({"data.pkl": data})}), "posix.system")
    deep = _zip({"a": _zip({"b": _zip({"c": _zip({"data.pkl": data})})})})
    yield Hostile("zip in a zip in a zip in a zip", deep, "archives within archives")
    yield Hostile("zip that writes elsewhere", _zip({"../../canary": b"x"}), "../../canary")
    yield Hostile("zip with an absolute path", _zip({str(canary): b"x"}), "written elsewhere")
    yield Hostile("zip whose pickle has another name", _zip({"weights.npy": data}), "posix.system")


def _zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()
