"""What a job's request says: rows or columns as for a prediction, or which rows of the project are to be scored."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from treadle.core.errors import InvalidInput
from treadle.serving.dataplane import Call
from treadle.serving.protocols import rows
from treadle.serving.requests import envelope
from treadle.serving.web import Request


class Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of a dataset."""

    dataset: str
    version: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    split: str | None = None


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows that the project has, instead of rows in the request."""

    #: Of a dataset.
    rows: Rows | None = None
    #: Or in files below the folder `jobs.files`, as `2013-02/*.parquet`.
    files: str | None = None
    #: Columns that are passed through; None: all.
    keep: list[str] | None = None


class Asked(msgspec.Struct, frozen=True):
    """A request, read."""

    #: The body without what is said about the job itself.
    body: bytes
    name: str
    hook: str
    #: What is to be scored, where the request has no rows of its own.
    reference: Reference | None


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse(body: bytes) -> Asked:
    """Read a submission.

    Raises:
        InvalidInput: it is not JSON, or not of this shape.
    """
    fields: dict[str, Any] = envelope(_FIELDS, body)
    name = _field(fields, "id", str) or ""
    if "/" in name or "%" in name or name in {".", ".."}:
        msg = f"The id is {name[:60]!r}. A job's is a part of its address: expected one without '/' and '%'."
        raise InvalidInput(msg, field="id")
    hook = _field(fields, "hook", str) or ""
    fields.pop("hook", None)
    reference = None
    if "from" in fields:
        found = _field(fields, "from", Reference)
        assert isinstance(found, Reference)
        if (found.rows is None) == (found.files is None):
            msg = "'from' names both or neither of 'rows' and 'files'. Expected one: {\"rows\": {\"dataset\": …}} or {\"files\": …}."
            raise InvalidInput(msg, field="from")
        others = sorted(set(fields) - {"from", "id"})
        if others:
            msg = f"The body has {others[0]!r} beside 'from'. Expected rows in the request, or rows of the project, not both."
            raise InvalidInput(msg, field=others[0])
        reference = found
    return Asked(msgspec.json.encode(fields), name, hook, reference)


def call_of(body: bytes, *, name: str, received: float) -> Call:
    """Return the request for predictions that a job's body makes; its predictions are called after the job.

    Raises:
        InvalidInput: the body is not of this shape.
    """
    given = rows.parse(Request(method="POST", path="", headers={}, body=body, received=received))
    return msgspec.structs.replace(given, id=name)


def reference_of(body: bytes) -> Reference | None:
    """Return what a job's body refers to; None: its rows are its own."""
    fields = _FIELDS.decode(body)
    return msgspec.json.decode(fields["from"], type=Reference) if "from" in fields else None


def _field(fields: dict[str, Any], name: str, kind: Any) -> Any:
    if name not in fields:
        return None
    try:
        return msgspec.json.decode(fields[name], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"Field {name!r} does not fit: {str(error).replace('`', chr(39))}."
        raise InvalidInput(msg, field=name) from error
