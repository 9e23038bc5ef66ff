"""A person is told when answers have become worse, also where a training follows by itself, and when outcomes stop coming."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.clock import ManualClock
from treadle.core.drift import Drift, Moved
from treadle.core.errors import InvalidDeclaration, InvalidInput
from treadle.loop.facts import Facts, Performed
from treadle.loop.policies import Policy
from treadle.loop.triggers.decay import Decay
from treadle.loop.triggers.drift import Drift as Drifts

NOW = tiny.BEGIN


def facts(*, low: float = 0.1, n: int = 500, moved: tuple[Moved, ...] = ()) -> Facts:
    found = Performed(metric="log_loss", version=1, since=NOW, n=n, value=0.6, expected=0.4, low=low)
    drift = Drift(model="buys", version=1, at=NOW, drifting=True, reason="pages drifted", moved=moved)
    return Facts(model="buys", now=NOW, rows=1000, performed={"28d": found}, drift=drift)


@pytest.mark.parametrize("trigger", [Decay(), Drifts()])
def test_a_trigger_that_fires_for_worse_answers_says_so_to_a_person(trigger: Decay | Drifts) -> None:
    worse, fine = Policy(triggers=[trigger]).decide(facts()), Policy(triggers=[trigger]).decide(facts(low=-1))

    assert worse.due
    assert "log_loss of version 1 is 0.6" in worse.harm[0]
    assert fine.harm == ()


def test_drift_with_too_few_outcomes_is_not_supported_by_them() -> None:
    assert not Drifts().check(facts(n=99)).fires
    assert Drifts().check(facts(n=100)).fires


def test_drift_below_the_least_share_of_rows_is_none() -> None:
    season = Moved(column="temp", detector="values", effect=0.3, text="temp: warmer")
    unit = Moved(
        column="dewp",
        detector="range",
        effect=0.9,
        text="dewp: its median went from 60 to 15, since 2020-01-06 00:00",
    )

    quiet = Drifts(least=0.5).check(facts(moved=(season,)))
    loud = Drifts(least=0.5).check(facts(moved=(season, unit)))

    assert (quiet.fires, quiet.told) == (False, "")
    assert quiet.reason == "no column has moved by 50% of the rows; the furthest by 30%"
    assert loud.fires
    assert loud.harm.startswith("dewp moved by 50% of the rows or more; dewp: its median went")


def test_drift_may_count_by_some_detectors_only() -> None:
    season = Moved(column="temp", detector="values", effect=0.6, text="temp: warmer")

    assert not Drifts(detectors=["range", "missing"]).check(facts(moved=(season,))).fires
    assert Drifts(detectors=["values"], least=0.5).check(facts(moved=(season,))).fires
    with pytest.raises(InvalidDeclaration, match="range"):
        Drifts(detectors=["ranges"])


def test_a_least_share_is_one() -> None:
    with pytest.raises(InvalidDeclaration, match="a share of the rows"):
        Drifts(least=50)
    with pytest.raises(InvalidInput, match="'soon' is not a span"):
        Policy(outcomes_stale_after="soon")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(tiny.BEGIN + timedelta(days=7))


@pytest.fixture
def watched(opened: tiny.Opener, root: Path, clock: ManualClock) -> Workspace:
    file = root / "project.py"
    file.write_text(file.read_text().replace("td.Policy(", 'td.Policy(outcomes_stale_after="3d", '))
    return opened(clock=clock, compute__engine="inline")


def test_outcomes_that_stop_coming_are_told_until_some_come(
    watched: Workspace, root: Path, clock: ManualClock
) -> None:
    watched.tick()
    clock.advance("3d")
    watched.tick()
    before = watched.alerts.open()
    clock.advance("1s")
    watched.tick()
    (alert,) = watched.alerts.open()
    tiny.land(root, 1)
    watched.tick()

    assert before == []
    assert (alert.rule, alert.subject) == ("stale-outcomes", "model:buys")
    assert alert.text.startswith("The newest outcome is 3d1s old; the limit is 3d.") or "3d" in alert.text
    assert "treadle estimate buys" in alert.text
    assert watched.alerts.open() == []


def test_a_model_whose_metric_is_no_mean_over_rows_decays_by_the_next_one_that_is(
    opened: tiny.Opener, root: Path, clock: ManualClock
) -> None:
    file = root / "project.py"
    text = (
        file.read_text()
        .replace("td.Classification()", "td.Regression()")
        .replace("bought: bool", "bought: float")
    )
    text = text.replace("td.NewRows(500)", "td.Decay(min_rows=100)").replace("Prior(by", "Mean(by")
    file.write_text(
        text.replace("LogisticRegression(random_state=run.seed)", "LinearRegression()").replace(
            "LogisticRegression", "LinearRegression"
        )
    )
    rows = tiny.visits(0, rows=2000).with_columns(bought=pl.col("pages") * 3)
    rows.write_csv(root / "landing" / "0000.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    workspace = opened(clock=clock, compute__engine="inline")
    workspace.run("buys")
    asked = tiny.visits(1, rows=200).with_columns(bought=pl.col("pages") * -3)
    with workspace.predictor("buys") as predictor:
        predictor.predict(
            asked.select("pages", "minutes").to_dicts(), key=asked.select("visit_id").to_dicts()
        )
    asked.write_csv(root / "landing" / "0001.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    clock.advance("8d")

    (look,) = workspace.tick()

    assert look.decision is not None
    assert look.decision.reason.startswith("Decay: mae of version 1 is"), look.decision.reason
    assert [alert.rule for alert in workspace.alerts.open()] == ["decayed"]
