"""JSON Schema of what a model takes and gives, with an example made of its signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from treadle.core.signature import Field, Signature
from treadle.serving.requests import Reader

Schema = dict[str, Any]

_LARGEST = 3.4028234663852886e38
_TYPES: Mapping[str, Schema] = {
    "integer": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "category": {"type": "string"},
    "timestamp": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
}
_EXAMPLES: Mapping[str, Any] = {
    "integer": 1,
    "float": 0.5,
    "boolean": True,
    "string": "text",
    "category": "text",
    "timestamp": "2024-01-31T12:00:00Z",
    "date": "2024-01-31",
}
_PLAIN: Schema = {"type": ["string", "integer", "number", "boolean", "null"]}
#: What keys of rows are.
KEY: Schema = {"type": "object", "additionalProperties": _PLAIN}
ID: Schema = {"type": "string", "maxLength": 200, "pattern": "^[ -~]*$"}


def value(field: Field) -> Schema:
    """Return the schema of one value of an input."""
    schema = dict(_TYPES[field.kind])
    if field.nullable:
        schema["type"] = [schema["type"], "null"]
    if field.levels:
        schema["examples"] = list(field.levels[:20])
        schema["description"] = "A value that training had not seen is legal, and counts as unseen."
    return schema


def example(field: Field) -> Any:
    """Return a value that an input takes."""
    return field.levels[0] if field.levels else _EXAMPLES[field.kind]


def row(reader: Reader) -> Schema:
    """Return the schema of one row."""
    fields = reader.fields
    return {
        "type": "object",
        "properties": {name: value(field) for name, field in fields.items()},
        "required": [name for name in fields if name not in reader.optional],
        "additionalProperties": False,
    }


def rows(reader: Reader) -> Schema:
    """Return the schema of rows."""
    return {"type": "array", "minItems": 1, "maxItems": reader.max_rows, "items": row(reader)}


def table(reader: Reader) -> Schema:
    """Return the schema of columns, each an array of one value for each row."""
    fields = reader.fields
    limits = {"minItems": 1, "maxItems": reader.max_rows}
    return {
        "type": "object",
        "properties": {
            name: {"type": "array", **limits, "items": value(field)} for name, field in fields.items()
        },
        "required": [name for name in fields if name not in reader.optional],
        "additionalProperties": False,
    }


def example_row(reader: Reader) -> dict[str, Any]:
    """Return a row that the model takes."""
    return {name: example(field) for name, field in reader.fields.items() if name not in reader.optional}


def answer(signature: Signature, *, beside: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of the answer to one row; what is settled on validation rows may stand beside the outputs."""
    told = {
        field.name: _output(field) for field in signature.outputs or (Field(name="prediction", kind="float"),)
    }
    return {"type": "object", "properties": {**(beside or {}), **told}, "required": [*(beside or {}), *told]}


def one_of(**choices: Schema) -> Schema:
    """Return the schema of an object with exactly one of some properties."""
    return {"oneOf": [{"required": [name]} for name in choices], "properties": choices}


def plain(properties: Mapping[str, Schema], required: Sequence[str]) -> Schema:
    """Return the schema of an object."""
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _output(field: Field) -> Schema:
    if field.columns and field.kind == "boolean":
        return {"type": "array", "items": {"type": ["string", "boolean"]}}
    if field.columns:
        return plain({name: {"type": "number"} for name in field.columns}, field.columns)
    kind = _TYPES[field.kind]["type"]
    return {"type": "number" if kind == "integer" else kind}
