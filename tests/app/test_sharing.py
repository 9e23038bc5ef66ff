"""`treadle endpoints set` and `ws.revise`: which versions answer, and how they share the requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import treadle as td
from hostile_typed import Type
from treadle.app.sharing import Plan, plan_of, plan_of_words, traffic_of
from treadle.core.errors import InvalidInput
from treadle.core.traffic import Bandit, Cascade, Ensemble, Split

_PLAN = """
holdout = 0.1

[traffic]
type = "bandit"
floor = 0.05
mature = "1d"
absent = "zero"

[[variants]]
name = "champion"
version = "buys@champion"

[[variants]]
name = "again"
version = "buys/1"

[[variants]]
name = "beside"
version = "buys/1"
shadow = 0.5
"""


def shares(workspace: td.Workspace) -> list[tuple[str, int, float, float]]:
    return [(v.name, v.version, v.weight, v.shadow) for v in workspace.endpoints.get("buys").variants]


def test_a_plan_in_a_file_becomes_a_revision(shop: Path, typed: Type) -> None:
    (shop / "plan.toml").write_text(_PLAN)

    said = typed("endpoints", "set", "buys", "--file", "plan.toml", "--reason", "try")

    assert (
        said.out
        == "endpoint buys is at revision 2: bandit of buys/1 50%, buys/1 50%, buys/1 shadow 50% (holdout 10%)\n"
    )
    with td.open(shop) as workspace:
        made = workspace.endpoints.get("buys")
        assert shares(workspace) == [
            ("champion", 1, 0.5, 0.0),
            ("again", 1, 0.5, 0.0),
            ("beside", 1, 0.0, 0.5),
        ]
    assert (made.reason, made.holdout) == ("try", 0.1)
    traffic = made.traffic
    assert isinstance(traffic, Bandit)
    assert (traffic.floor, traffic.mature, traffic.absent) == (0.05, 86400.0, "zero")
    assert traffic.since is not None
    assert traffic.since <= made.created_at


def test_a_plan_in_words_and_as_values_and_as_json_is_the_same(shop: Path, typed: Type) -> None:
    plan = {
        "variants": [
            {"name": "one", "version": "buys/1"},
            {"name": "two", "version": "buys/1", "weight": 0.25},
        ],
        "holdout": 0.2,
    }
    (shop / "plan.json").write_text(json.dumps(plan))

    typed("endpoints", "set", "buys", "one=buys/1", "two=buys/1:0.25", "--holdout", "0.2")
    typed("endpoints", "set", "buys", "--file", "plan.json")
    with td.open(shop) as workspace:
        workspace.revise("buys", plan, reason="as values")
        found = [
            (one.variants, one.traffic, one.holdout) for one in workspace.endpoints.revisions("buys")[1:]
        ]

    assert found[0] == found[1] == found[2]
    assert [variant.weight for variant in found[0][0]] == [0.75, 0.25]


def test_one_version_is_set_as_ever(shop: Path, typed: Type) -> None:
    typed("endpoints", "set", "buys", "buys/1")

    with td.open(shop) as workspace:
        assert shares(workspace) == [("pinned", 1, 1.0, 0.0)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Expected versions"),
        (["a=buys/1", "--file", "plan.toml"], "and not both"),
        (["--file", "plan.toml", "--traffic", "bandit"], "says traffic and holdout itself"),
        (["--file", "none.toml"], "cannot be read"),
        (["a=buys/1", "b=buys/1"], "Neither a nor b has a weight"),
        (["a=buys/1:x", "b=buys/1"], "Expected a number from 0 to 1"),
        (["a=buys/1:0.7", "b=buys/1:0.7"], "shares that add up to 1"),
        (["a=buys/9", "b=buys/1:0.5"], "buys has no version 9"),
        (["a=buys/1", "b=buys/1:0.1", "buys/1"], "Expected its name and version"),
        (["a=buys/1", "b=buys/1", "--traffic", "bandits"], "Did you mean 'bandit'"),
        (["a=buys/1", "b=buys/1", "--traffic", "bandit", "--option", "flor=0.1"], "Did you mean 'floor'"),
        (
            ["a=buys/1", "b=buys/1", "--traffic", "bandit", "--option", "floor"],
            "Expected a field of the traffic",
        ),
        (["a=buys/1", "b=buys/1", "--traffic", "bandit", "--option", "since=2020"], "no field 'since'"),
        (["a=buys/1", "b=buys/1", "--traffic", "bandit", "--option", "every=soon"], "is not a span of time"),
        (
            ["a=buys/1", "b=buys/1:0.5", "--traffic", "cascade", "--option", "below=0.8"],
            "asked in their order",
        ),
        (["a=buys/1", "b=buys/1", "--traffic", "cascade"], "below"),
        (["a=buys/1", "b=buys/1", "--traffic", "ensemble", "--option", "by=mode"], "by"),
        (["a=buys/1", "b=buys/1:0.1", "--expected", "7"], "but 7 was expected"),
    ],
)
def test_what_cannot_hold_is_said_and_changes_nothing(
    shop: Path, typed: Type, words: list[str], said: str
) -> None:
    (shop / "plan.toml").write_text(_PLAN)

    refused = typed("endpoints", "set", "buys", *words)

    assert refused.code not in {0, 1}  # 1 is for crashes
    assert said in refused.err
    with td.open(shop) as workspace:
        assert workspace.endpoints.get("buys").revision == 1


@pytest.mark.parametrize(
    "text", ["variants = 3", "varians = []", "[[variants]]\nname = 'a'", "= 1", "[traffic]\ntype = 'split'"]
)
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.toml").write_text(text)

    with pytest.raises(InvalidInput, match="The plan"):
        plan_of(tmp_path / "plan.toml")


def test_kinds_of_traffic_are_told_by_their_fields() -> None:
    found = [
        traffic_of({}),
        traffic_of({"type": "cascade", "below": 0.8}),
        traffic_of({"type": "ensemble", "by": "votes"}),
        traffic_of({"type": "bandit", "every": "10m", "sticky": "request"}),
    ]

    assert found == [Split(), Cascade(below=0.8), Ensemble(by="votes"), Bandit(every=600.0, sticky="request")]


def test_shadows_are_told_in_words() -> None:
    plan = plan_of_words(["a=buys/1", "b=buys/2:shadow=0.5"], traffic="split")

    assert isinstance(plan, Plan)
    assert [(one.weight, one.shadow) for one in plan.variants] == [(None, 0.0), (None, 0.5)]
