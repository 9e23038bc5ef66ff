"""Declaring searches: what is refused, and what a space holds."""

from __future__ import annotations

from typing import Any

import pytest

import treadle as td
from treadle.core.errors import InvalidDeclaration
from treadle.training.search import label_of, points

SPACE = {"c": td.Float(0.1, 1)}


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: td.Float(2, 1), "begins after it ends"),
        (lambda: td.Float(0, 1, log=True), "above 0"),
        (lambda: td.Float(float("nan"), 1), "no finite numbers"),
        (lambda: td.Int(1, 8, step=2, log=True), "both log and step"),
        (lambda: td.Int(1.5, 8), "no whole number"),  # type: ignore[arg-type]
        (lambda: td.Categorical([]), "no choices"),
        (lambda: td.Categorical([object()]), "of type object"),  # type: ignore[list-item]
        (lambda: td.Search(trials=3), "neither of space and suggest"),
        (lambda: td.Search(space=SPACE, suggest=lambda trial: {}, trials=3), "both of space and suggest"),
        (lambda: td.Search(space={"c": [1, 2]}, trials=3), "'c' is \\[1, 2\\]"),  # type: ignore[dict-item]
        (lambda: td.Search(space=SPACE), "no end"),
        (lambda: td.Search(space=SPACE, trials=0), "trials is 0"),
        (lambda: td.Search(space=SPACE, time="soon"), "span of time"),
        (lambda: td.Search(space=SPACE, trials=3, sampler="tpee"), "Did you mean 'tpe'"),
        (lambda: td.Search(space=SPACE, trials=3, pruner="medium"), "Did you mean 'median'"),
        (lambda: td.Search(space=SPACE, sampler="grid"), "give each td.Float a step"),
        (lambda: td.Search(windows=[td.Last("7d"), td.Last("7d")], trials=3), "named twice"),
        (lambda: td.Resources(memory="much"), "no size"),
        (lambda: td.Resources(cpu=-1), "from 0 up"),
    ],
)
def test_a_search_that_cannot_be_is_refused(declare: Any, said: str) -> None:
    with pytest.raises(Exception, match=said) as caught:
        declare()

    assert isinstance(caught.value, InvalidDeclaration) or said == "span of time"


def test_a_grid_has_as_many_trials_as_points() -> None:
    space = {
        "depth": td.Int(1, 7, step=3),
        "rate": td.Float(0, 1, step=0.25),
        "kind": td.Categorical(["a", "b"]),
    }

    search = td.Search(space=space, windows=[td.Last("7d"), td.Last("90d")], sampler="grid")

    assert search.most == 3 * 5 * 2 * 2
    assert points(space["rate"]) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_windows_are_named_by_what_they_are() -> None:
    assert [label_of(w) for w in (td.Last("7d"), td.Tumbling("1w"))] == ["last 7d", "tumbling 1w"]
