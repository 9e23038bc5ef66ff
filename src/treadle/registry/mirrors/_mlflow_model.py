"""A package as MLflow's model folder: its `MLmodel` file, what MLflow needs to load it, and the package's own files."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from treadle.core.answers import scored
from treadle.core.signature import Field, Signature
from treadle.registry.mirror import MirroredVersion

#: The folder of a run's artefacts that is its model.
FOLDER = "model"
#: Called by what it does and its form: one process may load models that were mirrored by several releases of Treadle.
_MODULE = "treadle_answers_1"
_SOURCE = Path(__file__).with_name("_mlflow_answers.py")
_ONNX = "model.onnx"
#: The libraries that answer, as in the extra `serve`.
_NEEDED = ("onnx>=1.20,<2", "onnxruntime>=1.24,<2", "numpy>=2,<3")
_TYPES = {
    "integer": "long",
    "float": "double",
    "boolean": "boolean",
    "string": "string",
    "category": "string",
    "timestamp": "datetime",
    "date": "datetime",
}


def folder(told: MirroredVersion, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a model folder for a package's files.

    A package in ONNX gets the flavours `onnx` and `python_function`, so MLflow can load it and serve it. Any other has the
    flavour `treadle` only: MLflow shows it, and Treadle loads it.
    """
    flavours: dict[str, Any] = {"treadle": _own(told)}
    beside: dict[str, bytes] = {}
    if told.version.format == "onnx":
        needed = ["mlflow", *_NEEDED]
        flavours |= {"onnx": _onnx(), "python_function": _function()}
        environment = {
            "python": _python(),
            "build_dependencies": ["pip"],
            "dependencies": ["-r requirements.txt"],
        }
        conda = {"name": "mlflow-env", "dependencies": [f"python={_python()}", "pip", {"pip": needed}]}
        beside = {
            f"code/{_MODULE}.py": _SOURCE.read_bytes(),
            "requirements.txt": "".join(f"{line}\n" for line in needed).encode(),
            "python_env.yaml": _text(environment),
            "conda.yaml": _text(conda),
        }
    return {**files, **beside, "MLmodel": _text(_described(told, flavours))}


def _described(told: MirroredVersion, flavours: dict[str, Any]) -> dict[str, Any]:
    version = told.version
    return {
        "artifact_path": FOLDER,
        "run_id": told.run,
        "utc_time_created": version.created_at.strftime("%Y-%m-%d %H:%M:%S.%f"),
        "model_uuid": version.digest.removeprefix("sha256:")[:32],
        "model_size_bytes": version.size,
        "flavors": flavours,
        "signature": _signature(version.signature),
        "metadata": {"treadle": f"model_version:{version.model}/{version.version}"},
    }


def _own(told: MirroredVersion) -> dict[str, Any]:
    version = told.version
    return {
        "format": version.format,
        "task": version.task,
        "digest": version.digest,
        "manifest": "manifest.json",
    }


def _onnx() -> dict[str, Any]:
    return {
        "data": _ONNX,
        "providers": ["CPUExecutionProvider"],
        "onnx_session_options": None,
        "code": None,
    }


def _function() -> dict[str, Any]:
    return {
        "loader_module": _MODULE,
        "code": "code",
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "python_version": platform.python_version(),
    }


def _signature(signature: Signature) -> dict[str, Any]:
    inputs = [
        {"type": _type(field), "name": field.name, "required": not field.nullable}
        for field in signature.inputs
    ]
    outputs = None
    if not scored(signature).columns:
        held = signature.outputs or (scored(signature),)
        outputs = json.dumps(
            [{"type": _TYPES[field.kind], "name": field.name, "required": True} for field in held]
        )
    return {"inputs": json.dumps(inputs), "outputs": outputs, "params": None}


def _type(field: Field) -> str:
    # MLflow's integers and booleans cannot be missing.
    return "double" if field.nullable and field.kind in {"integer", "boolean"} else _TYPES[field.kind]


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _text(value: Any) -> bytes:
    """Return a value as YAML, of which JSON is a part."""
    return json.dumps(value, indent=2).encode() + b"\n"
