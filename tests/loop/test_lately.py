"""How good answers were lately, and how versions compare on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

import shown_shop
import treadle as td
from treadle.app.workspace import Workspace
from treadle.core.errors import InvalidInput, NotFound


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    root = shown_shop.make(tmp_path_factory.mktemp("lately"))
    with td.open(root) as workspace:
        yield workspace


def test_answers_are_beside_the_baseline_on_the_same_rows(history: Workspace) -> None:
    found = history.lately("buys", every="all")
    scored = history.performance("buys", every="all")

    assert (found.asked, found.metric) == (600, "log_loss")
    assert found.whole is not None
    assert found.whole.n == scored["n"].sum() == 600
    weighed = sum(one["value"] * one["n"] for one in scored.iter_rows(named=True)) / 600
    assert found.whole.value == pytest.approx(weighed)
    assert found.whole.baseline is not None
    assert found.difference == pytest.approx(found.whole.value - found.whole.baseline)
    assert found.low < found.difference < found.high < 0
    assert found.beats_baseline is True


def test_stretches_add_up_to_the_whole(history: Workspace) -> None:
    found = history.lately("buys", every="1d")

    assert sum(one.asked for one in found.stretches) == found.asked
    assert sum(one.n for one in found.stretches) == found.whole.n


def test_where_nothing_was_asked_nothing_is_said(history: Workspace) -> None:
    later = history.lately("buys", since=history.clock.now() + timedelta(days=1))

    assert (later.asked, later.whole, later.stretches, later.beats_baseline) == (0, None, (), None)


def test_versions_answer_the_same_rows(history: Workspace) -> None:
    found = history.compare(["buys/1", "buys/2", "buys/4"])

    own = {score.contender: score for score in found.scores if score.metric == "log_loss"}
    gaps = {gap.version: gap for gap in found.gaps if gap.metric == "log_loss"}
    assert {own[name].n for name in found.versions} == {found.rows}
    assert gaps["buys/4"].difference == pytest.approx(own["buys/4"].value - own["buys/1"].value)
    assert gaps["buys/4"].is_better is False
    assert gaps["buys/2"].low <= gaps["buys/2"].difference <= gaps["buys/2"].high
    assert found.plots
    assert {score.slice for score in found.slices} >= {"shop=north", f"shop={shown_shop.HOSTILE}"}


def test_what_a_run_recorded_is_found_again(history: Workspace) -> None:
    run = history.runs.get(history.models.get("buys/3").run)

    found = history.compare(["buys/2", "buys/3"])

    own = {score.metric: score.value for score in found.scores if score.contender == "buys/3"}
    assert own["log_loss"] == pytest.approx(run.metrics["test.candidate.log_loss"])


@pytest.mark.parametrize("given", [[], ["buys/1"], ["buys/1", "buys/1"], ["buys/1", "likes/1"]])
def test_what_cannot_be_compared_is_said(history: Workspace, given: list[str]) -> None:
    with pytest.raises(InvalidInput, match=r"Expected two or more versions of one model"):
        history.compare(given)


def test_a_version_that_is_not_there_is_said(history: Workspace) -> None:
    with pytest.raises(NotFound):
        history.compare(["buys/1", "buys/99"])
