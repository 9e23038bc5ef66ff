"""Answers of a Treadle package in ONNX for MLflow: a copy of this file lies beside each model that is mirrored there.

It is loaded where MLflow is and Treadle is not, so it imports NumPy and ONNX Runtime only. Columns are encoded and answers
completed as Treadle does (`core.signature`, `core.answers`); a test holds the two equal.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


class Answers:
    """A model that takes a data frame and gives one."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        signature = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["signature"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._fields = {field["name"]: field for field in signature["inputs"]}
        self._outputs = signature["outputs"] or [{"name": "prediction", "kind": "float"}]
        self._given = [output.name for output in self._session.get_outputs()]

    def predict(self, data: Any, params: Any = None) -> Any:  # noqa: ARG002 - MLflow hands it over
        """Return a frame with a column for each output; several numbers are an object by their names."""
        feed = {}
        for asked in self._session.get_inputs():
            values = encoded(self._fields[asked.name], data)
            feed[asked.name] = values.reshape(-1, 1) if len(asked.shape) != 1 else values
        held = dict(zip(self._given, self._session.run(self._given, feed), strict=True))
        *others, scored = self._outputs
        numbers = _scored(scored, held[scored["name"]])
        found = {one["name"]: _follows(one, held, numbers, scored) for one in others}
        return type(data)(
            {**{name: list(values) for name, values in found.items()}, **_shown(scored, numbers)}
        )


def encoded(field: dict[str, Any], data: Any) -> Any:
    """Return a column of a frame as the model is fed it; one that may be missing may be absent."""
    name, kind, nullable = field["name"], field["kind"], field.get("nullable", False)
    if name not in data.columns and not nullable:
        msg = f"Missing column {name!r}."
        raise ValueError(msg)
    column = data[name] if name in data.columns else type(data[data.columns[0]])([None] * len(data))
    if not nullable and column.isna().any():
        msg = f"Column {name!r} has a row without a value. Expected {kind}, never missing."
        raise ValueError(msg)
    if kind in ("string", "category"):
        return np.array(["" if gap else str(v) for v, gap in zip(column, column.isna(), strict=True)], object)
    if kind in ("timestamp", "date"):
        return _moments(column, kind, nullable=nullable)
    if kind == "integer" and not nullable:
        return column.to_numpy().astype(np.int64)
    return column.astype("float64").to_numpy().astype(np.float32)


def _moments(column: Any, kind: str, *, nullable: bool) -> Any:
    moments = [
        np.datetime64("NaT") if gap else _moment(v) for v, gap in zip(column, column.isna(), strict=True)
    ]
    values = np.array(moments, dtype="datetime64[us]")
    if kind == "date":
        days = values.astype("datetime64[D]")
        return (
            np.where(np.isnat(days), np.nan, days.astype(np.int64)).astype(np.float32)
            if nullable
            else days.astype(np.int64)
        )
    micros = values.astype(np.int64)
    if not nullable:
        return micros
    return (np.where(np.isnat(values), np.nan, micros) / 86_400e6).astype(np.float32)


def _moment(value: Any) -> Any:
    if getattr(value, "tzinfo", None) is not None:
        value = value.tz_convert("UTC").tz_localize(None)
    return np.datetime64(value, "us")


def _scored(field: dict[str, Any], values: Any) -> Any:
    columns = field.get("columns", ())
    numbers = np.asarray(values, dtype=np.float64).reshape((-1, len(columns)) if columns else (-1,))
    return np.sort(numbers, axis=1) if field.get("rising") else numbers


def _follows(field: dict[str, Any], held: dict[str, Any], numbers: Any, scored: dict[str, Any]) -> Any:
    if field["name"] in held:
        values = np.asarray(held[field["name"]])
        columns = field.get("columns", ())
        shaped = values.reshape((-1, len(columns)) if columns else (-1,))
        return shaped.astype(bool) if field["kind"] == "boolean" else shaped
    if field["kind"] == "boolean":
        return numbers > field.get("above", 0.5)
    names = list(scored.get("columns", ()))
    if field.get("separator"):
        return [_labels(field, names, row) for row in (numbers > field.get("above", 0.5)).tolist()]
    if field.get("column"):
        return numbers[:, names.index(field["column"])]
    if not names:
        return numbers
    largest = numbers.argmax(axis=1)
    return [int(names[i]) if field["kind"] == "integer" else names[i] for i in largest]


def _labels(field: dict[str, Any], names: list[str], held: list[bool]) -> str:
    said = field["separator"].join(name for name, is_said in zip(names, held, strict=True) if is_said)
    return said or str(field.get("none", ""))


def _shown(scored: dict[str, Any], numbers: Any) -> dict[str, Any]:
    names = scored.get("columns", ())
    if not names:
        return {scored["name"]: numbers}
    return {scored["name"]: [dict(zip(names, row, strict=True)) for row in numbers.tolist()]}


def _load_pyfunc(path: str) -> Answers:
    """Return the model of a folder; MLflow calls this."""
    return Answers(Path(path))
