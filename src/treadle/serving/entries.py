"""What is written down about a request: one compact entry for all its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from treadle.core.ids import canonical


class PredictionEntry(msgspec.Struct, frozen=True, tag="p", array_like=True, gc=False):
    """The answer to one request."""

    request_id: str
    endpoint: str
    revision: int
    model: str
    version: int
    variant: str
    assignment: str
    subject: str | None
    #: UTC microseconds since 1970.
    at: int
    #: Seconds from the request's arrival to its answer.
    latency: float
    #: Name → one value for each row.
    inputs: dict[str, Sequence[Any]]
    #: The key of each row, as canonical JSON.
    keys: list[str] | None
    #: None: a prediction that is no number, which `outputs` has.
    predictions: list[float | None]
    #: Probability of the positive class.
    probabilities: list[float] | None
    #: Of each row, the whole answer as JSON text; None: prediction and probability say it all.
    outputs: list[str] | None = None
    #: Probability of the predicted class of several.
    confidences: list[float] | None = None
    #: How probable it was that this variant would be chosen for the request; 1: there was nothing to choose.
    propensity: float = 1.0
    #: Whether it was made beside the answer, which another variant gave.
    shadow: bool = False
    #: The fraction of the requests that is logged.
    sampled: float = 1.0
    #: Of each row: answer, abstain, review or ask; None: nothing was to be decided.
    decisions: list[str] | None = None
    #: Of each row, the model, version and variant that answered it, where these are several.
    answered_by: list[tuple[str, int, str]] | None = None


class OutcomeEntry(msgspec.Struct, frozen=True, kw_only=True, tag="o", array_like=True, gc=False):
    """Outcomes that one request reported."""

    request_id: str
    endpoint: str
    #: UTC microseconds since 1970.
    at: int
    #: Of each outcome, one of the two: the prediction's id, or the row's key as canonical JSON.
    predictions: list[str | None]
    keys: list[str | None]
    #: None: a value that is no number, which `texts` has.
    values: list[float | None]
    texts: list[str | None] | None = None


Entry = PredictionEntry | OutcomeEntry

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)
_DECODER_OF_SEVERAL: msgspec.msgpack.Decoder[list[Entry]] = msgspec.msgpack.Decoder(list[Entry])
#: Begins an array of entries in MessagePack, before its length; an entry is an array too, but never of this form.
_SEVERAL = b"\xdd"


def pack(entry: Entry) -> bytes:
    """Return an entry as bytes."""
    return _ENCODER.encode(entry)


def unpack(data: bytes) -> Entry:
    """Read an entry."""
    return _DECODER.decode(data)


def join(packed: Sequence[bytes]) -> bytes:
    """Return packed entries as one text, which is framed, checked and read at once."""
    if len(packed) == 1:
        return packed[0]
    return b"".join((_SEVERAL, len(packed).to_bytes(4, "big"), *packed))


def unpack_all(data: bytes) -> list[Entry]:
    """Read what was written at once: several entries or, as before they were joined, one."""
    return _DECODER_OF_SEVERAL.decode(data) if data[:1] == _SEVERAL else [_DECODER.decode(data)]


def key_text(key: Mapping[str, Any]) -> str:
    """Return the one text of a key, the same for a prediction and for its outcome."""
    return canonical(key).decode()
