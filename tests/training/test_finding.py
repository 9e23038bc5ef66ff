"""Finding runs by what they measured and what they were given."""

from __future__ import annotations

import pytest

from treadle.core.errors import InvalidInput
from treadle.training.runs import Runs


@pytest.fixture
def ended(runs: Runs) -> dict[str, str]:
    """Runs that have ended, and their names by id."""
    found = {}
    for name, loss, params in (
        ("a", 0.3, {"depth": 5, "kind": "tree"}),
        ("b", 0.1, {"depth": 2, "kind": "tree"}),
        ("c", 0.2, {"depth": 5, "kind": "line", "wide": True}),
        ("d", None, {"depth": 5}),
    ):
        run = runs.start("delay" if name != "c" else "late", reason=name, params=params)
        metrics = {} if loss is None else {"test.loss": loss}
        runs.finish(run, status="succeeded", metrics=metrics)
        found[run.id] = name
    runs.start("delay", reason="under way", params={"depth": 5})
    return found


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "dcba"),
        ({"sort": "metrics.test.loss"}, "bca"),
        ({"sort": "metrics.test.loss", "descending": True, "limit": 2}, "ac"),
        ({"where": ["params.depth=5"]}, "dca"),
        ({"where": ["params.depth >= 3", "metrics.test.loss < 0.25"]}, "c"),
        ({"where": ["params.kind='tree'"], "sort": "params.depth"}, "ba"),
        ({"where": ["params.kind!=tree"]}, "c"),
        ({"where": ["params.wide=true"]}, "c"),
        ({"where": ["params.depth=5"], "model": "delay"}, "da"),
        ({"where": ["metrics.nothing>0"]}, ""),
    ],
)
def test_runs_are_found(runs: Runs, ended: dict[str, str], asked: dict, expected: str) -> None:
    found = [run for run in runs.find(**asked) if run.id in ended]

    assert "".join(ended[run.id] for run in found) == expected


@pytest.mark.parametrize("asked", [{"where": ["depth=5"]}, {"where": ["params.depth"]}, {"sort": "loss"}])
def test_what_is_not_understood_is_refused(runs: Runs, asked: dict) -> None:
    with pytest.raises(InvalidInput, match="Expected"):
        runs.find(**asked)
