"""What callers send of what on-demand features are made of, and how these are computed."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from trials import until

from treadle.core.errors import Conflict, FeatureFailed, InvalidInput, Overloaded, StoreUnavailable
from treadle.core.signature import Computed, Field, Signature, encode_series
from treadle.serving.computing import reader_of
from treadle.serving.on_demand import OnDemand
from treadle.serving.wanted import Open, whole

A, B, SHARE = (Field(name=name, kind="float", nullable=name != "b") for name in ("a", "b", "share"))
LARGE = Field(name="large", kind="boolean", nullable=True)
NUMBER = Field(name="number", kind="integer")
SIGNATURE = Signature(
    inputs=(Field(name="pages", kind="integer"), SHARE, LARGE),
    outputs=(Field(name="probability", kind="float"),),
    computed=(
        Computed(feature="share", inputs=(A, B), outputs=(SHARE,), definition="1"),
        Computed(feature="size", inputs=(SHARE, NUMBER), outputs=(LARGE,), definition="2"),
    ),
)
ROW = {"pages": 3, "a": 1.0, "b": 4.0, "number": 7}


class Code:
    """The project's code: divides, and compares; a row may make it raise, or hang."""

    def __init__(self):
        self.calls, self.open = [], threading.Event()
        self.open.set()

    def __call__(self, model, computed):
        if computed.definition == "gone":
            raise Conflict("It is declared in another way.")
        return {"share": self.share, "size": self.size}[computed.feature]

    def share(self, values):
        self.calls.append(len(values["a"]))
        if 13.0 in values["a"]:
            raise ZeroDivisionError("the moon is wrong")
        if 99.0 in values["a"]:
            self.open.wait(30)
        with np.errstate(divide="ignore", invalid="ignore"):
            made = [
                None if None in (a, b) else float(np.float64(a) / b)
                for a, b in zip(values["a"], values["b"], strict=True)
            ]
        return {"share": made}

    def size(self, values):
        return {
            "large": [
                None if share is None else share > number
                for share, number in zip(*values.values(), strict=True)
            ]
        }


def reader(code, *, signature=SIGNATURE, timeout=20.0, on_failure="error"):
    how = OnDemand(code, timeout=timeout, on_failure=on_failure)
    return reader_of(signature, max_rows=1_000, online=None, on_demand=how, model="fraud")


def made(reader, *rows):
    return whole(reader.objects([{**ROW, **row} for row in rows]))


def test_what_is_not_sent_is_computed_and_what_is_sent_wins():
    code = Code()
    batch = made(reader(code), {}, {"share": 10.0}, {"share": 10.0, "large": False}, {"a": None})

    assert batch.values["share"] == [0.25, 10.0, 10.0, None]
    assert batch.values["large"] == [False, True, False, None]
    assert batch.values["number"] == (7, 7, 7, 7)
    assert batch.columns["large"].tolist()[:3] == [0.0, 1.0, 0.0]


def test_computed_numbers_are_encoded_as_in_training_also_those_that_no_caller_may_send():
    rows = [
        {"b": 0.0},
        {"a": -1.0, "b": 0.0},
        {"a": 0.0, "b": 0.0},
        {"a": 1e300, "b": 1e-3},
        {"a": 1 / 3, "b": 1.0},
    ]

    batch = made(reader(Code()), *rows)

    pl = pytest.importorskip("polars")
    expected = encode_series(SHARE, pl.Series("share", batch.values["share"], dtype=pl.Float64))
    assert batch.columns["share"].tobytes() == expected.tobytes()
    assert np.isinf(batch.columns["share"]).tolist() == [True, True, False, True, False]
    with pytest.raises(InvalidInput, match="'share' is inf"):
        reader(Code()).values(
            {name: [value] for name, value in ROW.items()} | {"share": [np.inf]},
            place=lambda n, r: f"{n}[{r}]",
        )


@pytest.mark.parametrize(
    ("row", "field", "said"),
    [
        (
            {"pages": 1},
            "rows[0].a",
            "'a' is missing, of which 'share' is made. Send 'a', or what is made of it: share",
        ),
        ({"pages": 1, "share": 1.0}, "rows[0].number", "'number' is missing, of which 'size' is made"),
        ({**ROW, "b": None}, "rows[0].b", "'b' is null. Expected a number"),
        ({**ROW, "number": 2**63}, "rows[0].number", "64 bits"),
        ({**ROW, "a": "x"}, "rows[0].a", "Expected a number or null"),
    ],
)
def test_what_is_lacking_is_refused_by_name(row, field, said):
    with pytest.raises(InvalidInput) as refused:
        whole(reader(Code()).objects([row]))

    assert (refused.value.field, said in str(refused.value)) == (field, True)


def test_a_row_that_raises_is_told_apart_from_those_beside_it():
    kept = made(reader(Code(), on_failure="null"), {}, {"a": 13.0}, {"a": 2.0})

    assert kept.values["share"] == [0.25, None, 0.5]
    assert kept.lacking == (None, {"share": "failed"}, None)
    with pytest.raises(FeatureFailed, match="ZeroDivisionError: the moon is wrong"):
        made(reader(Code()), {}, {"a": 13.0})


def test_what_the_project_does_not_have_any_more_is_the_caller_s_to_send():
    gone = SIGNATURE.computed[0].__class__(
        feature="share", inputs=(A, B), outputs=(SHARE,), definition="gone"
    )
    signature = Signature(
        inputs=SIGNATURE.inputs, outputs=SIGNATURE.outputs, computed=(gone, SIGNATURE.computed[1])
    )
    strict = reader(Code(), signature=signature)

    with pytest.raises(
        StoreUnavailable, match="share cannot be computed: It is declared in another way. Or send share"
    ):
        made(strict, {})
    assert made(strict, {"share": 8.0}).values["large"] == [True]
    assert made(reader(Code(), signature=signature, on_failure="null"), {}).lacking == ({"share": "failed"},)


def test_without_the_project_everything_is_the_caller_s():
    plain = reader_of(SIGNATURE, max_rows=10, online=None)

    assert list(plain.fields) == ["pages", "share", "large"]


def arrive(reader, *several):
    """Return what becomes of requests that come at once, outside of tasks as the server begins them."""

    async def one(row):
        batch = reader.objects([{**ROW, **row}])
        while isinstance(batch, Open) and batch.is_open:
            batch.fill(await batch.wanted.arrive(SimpleNamespace()))
        return batch.values["share"][0]

    async def all_of_them():
        return await asyncio.gather(*map(one, several), return_exceptions=True)

    return asyncio.run(all_of_them())


def test_requests_that_come_at_once_are_computed_together_and_fail_alone():
    code = Code()
    strict = reader(code)
    warmed = len(code.calls)

    found = arrive(strict, *[{"a": float(n)} for n in range(200)])

    assert [str(one) for one in found if isinstance(one, Exception)] == [
        "ZeroDivisionError: the moon is wrong"
    ]
    assert [one for n, one in enumerate(found) if n != 13] == [n / 4 for n in range(200) if n != 13]
    assert len(code.calls) - warmed < 200 + 20
    assert strict.line.rows == 200
    assert strict.line.failures == 1


def test_one_that_hangs_is_given_up_and_no_more_than_two_hang():
    code = Code()
    strict = reader(code, timeout=0.2)
    code.open.clear()

    late = [arrive(strict, {"a": 99.0})[0] for _ in range(2)]
    refused = arrive(strict, {"a": 1.0})[0]
    sent = made(strict, {"share": 1.0, "large": True})
    code.open.set()
    until(lambda: not strict.line.hanging)

    assert [str(one)[:60] for one in late] == [
        "On-demand features 'share', 'size' took over 0.2 s. Send the"
    ] * 2
    assert isinstance(refused, Overloaded)
    assert "hang" in str(refused)
    assert sent.values["share"] == (1.0,)
    assert arrive(strict, {"a": 1.0}) == [0.25]
    assert strict.line.late == 3
