"""Answers that are thought to have become worse, of which no outcome is known, lead to a training; answers that are as good as ever do not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import tiny

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(tiny.BEGIN + timedelta(days=30))


@pytest.fixture(params=["td.Decay(on='estimated', margin=0.1)", "td.Drift()"])
def shop(tmp_path: Path, clock: ManualClock, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """A project that trains by what is estimated; a quarter of its rows is kept apart, to learn from them how good answers are."""
    root = tiny.make(tmp_path / "shop", rows=4_000)
    text = (root / "project.py").read_text()
    text = text.replace("train=0.6, validation=0.1", "train=0.45, validation=0.25")
    (root / "project.py").write_text(text.replace("td.NewRows(500)", request.param))
    with open_workspace(root, clock=clock, overrides={"compute.engine": "inline"}) as workspace:
        yield workspace


def ask(workspace: Workspace, *, spread: float, seed: int) -> None:
    """Ask about visits that nobody reports the outcome of; the less they spread, the less sure the answers are."""
    random = np.random.default_rng(seed)
    rows = random.normal(scale=spread, size=(1_000, 2))
    with workspace.predictor("buys") as predictor:
        predictor.predict([{"pages": pages, "minutes": minutes} for pages, minutes in rows])


def test_a_model_is_trained_when_its_answers_are_estimated_to_be_worse(
    shop: Workspace, clock: ManualClock
) -> None:
    shop.run("buys")
    tiny.land(shop.root, 1, rows=200)  # there is something to learn from; nobody knows of a single answer
    ask(shop, spread=1.0, seed=1)
    clock.advance("2h")

    (quiet,) = shop.tick()
    clock.advance("8d")  # what was asked before is out of the window
    ask(shop, spread=0.1, seed=2)
    (worse,) = shop.tick()

    assert not quiet.error
    assert quiet.decision is not None
    assert not quiet.decision.due
    assert worse.turn is not None
    assert "log_loss is estimated at" in worse.turn.run.reason
    found = shop.drifts.latest("buys", version="buys/1")
    assert found is not None
    estimate = next(one for one in found.estimates if one.metric == "log_loss")
    assert estimate.low > estimate.before + 0.1
