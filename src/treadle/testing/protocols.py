"""The contract of serving protocols: what every file in `serving/protocols`, ours or yours, must pass.

A protocol is a module with `PREDICT` (paths with `{endpoint}`, by POST), `pages()` (paths by GET → what they show),
`parse(request) -> Call`, `render(answer, call) -> Response` and `refuse(message, field) -> bytes`. Each check is given
the module and an `Example`: how the protocol says one thing that it can say.

    @pytest.mark.parametrize("check", protocols.CHECKS)
    def test_contract(check):
        check(my_protocol, my_example)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest

from treadle.core.clock import SystemClock
from treadle.core.errors import InvalidInput
from treadle.core.records import Revision, Variant
from treadle.core.signature import Field, Signature
from treadle.serving.dataplane import Answer, Dataplane
from treadle.serving.web import Request, Response

#: The signature that examples are about.
SIGNATURE = Signature(
    inputs=(
        Field(name="distance", kind="integer"),
        Field(name="temp", kind="float", nullable=True),
        Field(name="carrier", kind="category"),
        Field(name="at", kind="timestamp"),
    ),
    outputs=(Field(name="prediction", kind="boolean"), Field(name="probability", kind="float")),
)
#: The rows that an example asks about.
ROWS: tuple[Mapping[str, Any], ...] = (
    {"distance": 1400, "temp": 3.5, "carrier": "UA", "at": "2013-01-01T05:15:00Z"},
    {"distance": 0, "temp": None, "carrier": "Ü", "at": "2013-01-02T00:00:00Z"},
)


@dataclass(frozen=True)
class Example:
    """How a protocol asks for predictions, and how its answer is read."""

    #: Rows and request id → body.
    ask: Callable[[Sequence[Mapping[str, Any]], str], bytes]
    #: Response → one probability for each row.
    read: Callable[[Response], list[float]]


class Echo:
    """A model whose probability says what it was fed: the distance in millions, and a half where temp is missing."""

    signature = SIGNATURE

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for arrays of shape (rows,)."""
        probability = columns["distance"] / 1e6 + np.isnan(columns["temp"]) * 0.5
        return {"prediction": columns["distance"] > 1000, "probability": probability}


def check_rows_are_answered_in_order(protocol: ModuleType, example: Example) -> None:
    """Each row is fed as it was sent, and the answers stand in the order of the rows."""
    response = _ask(protocol, example.ask(ROWS, ""))

    assert example.read(response) == pytest.approx([0.0014, 0.5])


def check_the_callers_id_is_kept(protocol: ModuleType, example: Example) -> None:
    """A request keeps the id that its caller gave it; without one it is given one."""
    given, made = (_answer(protocol, example.ask(ROWS, name)).id for name in ("r-1", ""))

    assert given == "r-1"
    assert made


def check_values_are_kept_for_the_log(protocol: ModuleType, example: Example) -> None:
    """The log gets the values as they were meant, whatever the protocol packed them in."""
    entry = _answer(protocol, example.ask(ROWS, "r-1")).entry()

    assert list(entry.inputs["distance"]) == [1400, 0]
    assert list(entry.inputs["temp"]) == [3.5, None]
    assert [at.isoformat() for at in entry.inputs["at"]] == [
        "2013-01-01T05:15:00+00:00",
        "2013-01-02T00:00:00+00:00",
    ]


def check_bad_rows_are_refused(protocol: ModuleType, example: Example) -> None:
    """A wrong type, a gap where none may be and no rows at all are `InvalidInput` with the field's name in it."""
    for change in ({"distance": None}, {"carrier": None}):
        with pytest.raises(InvalidInput) as refusal:
            _ask(protocol, example.ask([{**ROWS[0], **change}], ""))
        assert next(iter(change)) in f"{refusal.value.field}"
    with pytest.raises(InvalidInput):
        _ask(protocol, example.ask([], ""))


def check_bodies_that_are_none_are_refused(protocol: ModuleType, example: Example) -> None:  # noqa: ARG001
    """Whatever bytes come, nothing but `InvalidInput` is raised."""
    for body in (b"", b"{", b"null", b"[]", b"{}", b"\xff\x00", b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(InvalidInput):
            _ask(protocol, body)


def check_refusals_are_json_with_an_error(protocol: ModuleType, example: Example) -> None:  # noqa: ARG001
    """A refusal is a JSON object whose `error` holds the message and the field."""
    told = msgspec.json.decode(protocol.refuse("Expected a number.", "rows[3].distance"))

    assert "Expected a number." in str(told["error"])
    assert "rows[3].distance" in str(told["error"])


def check_paths_name_the_endpoint(protocol: ModuleType, example: Example) -> None:  # noqa: ARG001
    """Predictions are asked for at paths that name the endpoint; pages are at paths from the root."""
    assert protocol.PREDICT
    assert all(path.startswith("/") and "{endpoint}" in path for path in protocol.PREDICT)
    assert all(path.startswith("/") for path in protocol.pages())


#: All checks.
CHECKS: tuple[Callable[[ModuleType, Example], None], ...] = (
    check_rows_are_answered_in_order,
    check_the_callers_id_is_kept,
    check_values_are_kept_for_the_log,
    check_bad_rows_are_refused,
    check_bodies_that_are_none_are_refused,
    check_refusals_are_json_with_an_error,
    check_paths_name_the_endpoint,
)


def _answer(protocol: ModuleType, body: bytes) -> Answer:
    return _plane().predict("delay", protocol.parse(_request(body)))


def _ask(protocol: ModuleType, body: bytes) -> Response:
    call = protocol.parse(_request(body))
    response: Response = protocol.render(_plane().predict("delay", call), call)
    return response


def _request(body: bytes) -> Request:
    return Request(method="POST", path="/", headers={}, body=body, names={"endpoint": "delay"}, received=0.0)


def _plane() -> Dataplane:
    clock = SystemClock()
    only = Variant(name="champion", model="delay", version=1)
    revision = Revision(
        endpoint="delay", revision=1, variants=(only,), created_at=clock.now(), actor="", reason=""
    )
    plane = Dataplane(lambda: {"delay": revision}, lambda variant: Echo(), clock=clock)  # noqa: ARG005
    plane.refresh()
    return plane
