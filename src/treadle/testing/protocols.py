"""The contract of serving protocols: what every file in `serving/protocols`, ours or yours, must pass.

A protocol is a module with `PREDICT` (paths by POST; one without `{endpoint}` means `serving.default_endpoint`, or the
one that `?endpoint=` names), `MEDIA_TYPES` (what bodies may be said to be: protocols may share a path, and the type
decides), `pages()` (paths by GET → what they show), `PUBLIC` (those of them that need no token), `parse(request) -> Call`,
`render(answer, call) -> Response` and `refuse(message, field) -> bytes`. One that is not spoken over HTTP has no paths, and
a `door(application, settings)` that listens elsewhere. Each check is given the module and an `Example`: how the protocol
says one thing that it can say.

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
from treadle.serving.answer import Answer
from treadle.serving.dataplane import Dataplane
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
    #: Request id → parameters of the address, where the body has no place for it.
    query: Callable[[str], Mapping[str, str]] = lambda name: {}  # noqa: ARG005 - most bodies have one
    #: What a refusal says, as text.
    refusal: Callable[[bytes], str] = lambda body: str(msgspec.json.decode(body))


class Echo:
    """A model whose probability says what it was fed: the distance in millions, and a half where temp is missing."""

    signature = SIGNATURE

    def predict(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer for arrays of shape (rows,)."""
        probability = columns["distance"] / 1e6 + np.isnan(columns["temp"]) * 0.5
        return {"prediction": columns["distance"] > 1000, "probability": probability}


def check_rows_are_answered_in_order(protocol: ModuleType, example: Example) -> None:
    """Each row is fed as it was sent, and the answers stand in the order of the rows."""
    response = _ask(protocol, example, ROWS)

    assert example.read(response) == pytest.approx([0.0014, 0.5])


def check_the_callers_id_is_kept(protocol: ModuleType, example: Example) -> None:
    """A request keeps the id that its caller gave it; without one it is given one."""
    given, made = (_answer(protocol, example, name).id for name in ("r-1", ""))

    assert given == "r-1"
    assert made


def check_values_are_kept_for_the_log(protocol: ModuleType, example: Example) -> None:
    """The log gets the values as they were meant, whatever the protocol packed them in."""
    entry = _answer(protocol, example, "r-1").entry()

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
            _ask(protocol, example, [{**ROWS[0], **change}])
        assert next(iter(change)) in f"{refusal.value.field}"
    with pytest.raises(InvalidInput):
        _ask(protocol, example, [])


def check_bodies_that_are_none_are_refused(protocol: ModuleType, example: Example) -> None:  # noqa: ARG001
    """Whatever bytes come, nothing but `InvalidInput` is raised."""
    for body in (b"", b"{", b"null", b"[]", b"{}", b"\xff\x00", b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(InvalidInput):
            _respond(protocol, _request(body))


def check_refusals_say_what_and_where(protocol: ModuleType, example: Example) -> None:
    """A refusal holds the message and the field."""
    told = example.refusal(protocol.refuse("Expected a number.", "rows[3].distance"))

    assert "Expected a number." in told
    assert "rows[3].distance" in told


def check_paths_start_at_the_root(protocol: ModuleType, example: Example) -> None:  # noqa: ARG001
    """Predictions are asked for at a path, or through a door of the protocol's own; what is public is there."""
    assert protocol.PREDICT or callable(protocol.door)
    assert all(path.startswith("/") for path in (*protocol.PREDICT, *protocol.pages()))
    assert set(protocol.PUBLIC) <= set(protocol.pages())
    assert any(protocol.MEDIA_TYPES)


#: All checks.
CHECKS: tuple[Callable[[ModuleType, Example], None], ...] = (
    check_rows_are_answered_in_order,
    check_the_callers_id_is_kept,
    check_values_are_kept_for_the_log,
    check_bad_rows_are_refused,
    check_bodies_that_are_none_are_refused,
    check_refusals_say_what_and_where,
    check_paths_start_at_the_root,
)


def _answer(protocol: ModuleType, example: Example, name: str) -> Answer:
    request = _request(example.ask(ROWS, name), example.query(name))
    return _plane().predict("delay", protocol.parse(request))


def _ask(protocol: ModuleType, example: Example, rows: Sequence[Mapping[str, Any]]) -> Response:
    return _respond(protocol, _request(example.ask(rows, "")))


def _respond(protocol: ModuleType, request: Request) -> Response:
    call = protocol.parse(request)
    response: Response = protocol.render(_plane().predict("delay", call), call)
    return response


def _request(body: bytes, query: Mapping[str, str] | None = None) -> Request:
    return Request(
        method="POST",
        path="/",
        headers={},
        body=body,
        names={"endpoint": "delay"},
        query=query or {},
        received=0.0,
    )


def _plane() -> Dataplane:
    clock = SystemClock()
    only = Variant(name="champion", model="delay", version=1)
    revision = Revision(
        endpoint="delay", revision=1, variants=(only,), created_at=clock.now(), actor="", reason=""
    )
    plane = Dataplane(lambda: {"delay": revision}, lambda variant: Echo(), clock=clock)  # noqa: ARG005
    plane.refresh()
    return plane
