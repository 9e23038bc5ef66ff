"""Outcomes that callers report: `{"outcomes": [{"prediction_id": …, "value": true}, {"key": {…}, "value": 1.5}]}`.

A value that is text is the name of a class, or the labels that hold.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from treadle.core.answers import scored
from treadle.core.errors import InvalidInput, TooLarge
from treadle.core.ids import new_id
from treadle.core.signature import Signature
from treadle.serving.encoding import micros
from treadle.serving.entries import OutcomeEntry, key_text
from treadle.serving.requests import envelope, shown

_TEXT = "the name of a class or a set of labels, as text in the form of `prediction`"


class _Outcome(msgspec.Struct, forbid_unknown_fields=True):
    value: bool | int | float | str
    prediction_id: str | None = None
    key: dict[str, str | int | float | bool | None] | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    outcomes: list[_Outcome]
    id: str = ""


_BODY = msgspec.json.Decoder(_Body)
#: The scored output of what has its truths in the dataset's own rows.
_FORECAST = "forecast"


def parse(body: bytes, *, endpoint: str, at: datetime, max_rows: int, signature: Signature) -> OutcomeEntry:
    """Read reported outcomes; a request that is sent again with the same `id` counts once.

    `signature` is that of the model that answers: where it answers with the name of a class, an outcome is one too.

    Raises:
        InvalidInput: the body does not fit, a value is not of the kind that is predicted, or an outcome names neither
            or both of `prediction_id` and `key`.
    """
    found: _Body = envelope(_BODY, body)
    if not found.outcomes:
        msg = f"The request has no outcomes. Expected 1 to {max_rows}."
        raise InvalidInput(msg, field="outcomes")
    if len(found.outcomes) > max_rows:
        msg = f"The request has {len(found.outcomes)} outcomes. At most {max_rows} are allowed (setting serving.max_rows)."
        raise TooLarge(msg, field="outcomes")
    if scored(signature).name == _FORECAST:
        msg = "The truth of a forecast is what lands with its dataset later, so there is nothing to report."
        raise InvalidInput(msg, field="outcomes")
    named = any(f.name == "prediction" and f.kind in {"category", "string"} for f in signature.outputs)
    for number, outcome in enumerate(found.outcomes):
        if (outcome.prediction_id is None) == (outcome.key is None):
            msg = "An outcome needs one of 'prediction_id' and 'key', to say what it is the outcome of."
            raise InvalidInput(msg, field=f"outcomes[{number}]")
        if isinstance(outcome.value, str) != named or _is_huge(outcome.value):
            expected = _TEXT if named else "a number, or true or false"
            msg = f"The outcome is {shown(outcome.value)}. Expected {expected}."
            raise InvalidInput(msg, field=f"outcomes[{number}].value")
    return OutcomeEntry(
        request_id=found.id or new_id(),
        endpoint=endpoint,
        at=micros(at),
        predictions=[outcome.prediction_id for outcome in found.outcomes],
        keys=[None if outcome.key is None else key_text(outcome.key) for outcome in found.outcomes],
        values=[None if isinstance(o.value, str) else float(o.value) for o in found.outcomes],
        texts=[o.value if isinstance(o.value, str) else None for o in found.outcomes],
    )


def _is_huge(value: bool | float | str) -> bool:
    """Whether a whole number is larger than any float."""
    return isinstance(value, int) and value.bit_length() > 1023
