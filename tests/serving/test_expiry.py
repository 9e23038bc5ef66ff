"""The log is kept as long as the settings say, and as long as somebody needs it."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from treadle.core.errors import SettingsError
from treadle.core.records import Variant
from treadle.core.traffic import Bandit
from treadle.serving import wal
from treadle.serving.encoding import micros
from treadle.serving.entries import OutcomeEntry, PredictionEntry, pack
from treadle.serving.expiry import Expiry
from treadle.serving.log import LOGS
from treadle.serving.plan import Rollout
from treadle.serving.predictions import Outcomes, Predictions
from treadle.serving.rollouts import Rollouts
from treadle.serving.shipping import Shipper


@pytest.fixture
def project(tables, endpoints, ledger, clock, tmp_path):
    return Project(tables, endpoints, Rollouts(ledger, endpoints, clock), clock, tmp_path)


class Project:
    """An endpoint `delay` whose log is filled with entries of some age in days."""

    def __init__(self, tables, endpoints, rollouts, clock, root):
        self.tables, self.endpoints, self.rollouts = tables, endpoints, rollouts
        self.clock, self.root = clock, root
        self.now, self.segments = clock.now(), 0
        self.predictions, self.outcomes = Predictions(tables, root=root), Outcomes(tables, root=root)

    def expiry(self, predictions="30d", outcomes="60d"):
        return Expiry(
            self.tables,
            self.endpoints,
            self.rollouts,
            self.clock,
            root=self.root,
            predictions=predictions,
            outcomes=outcomes,
        )

    def collect(self, *settings, dry_run=False):
        return {one.log: one for one in self.expiry(*settings).collect("delay", dry_run=dry_run)}

    def log(self, *entries, server="s1", ship=True):
        folder = self.root / LOGS / server
        folder.mkdir(parents=True, exist_ok=True)
        self.segments += 1
        segment = wal.Segment(folder, self.segments)
        segment.append([b"\xc0", *(pack(entry) for entry in entries)])
        segment.seal()
        if ship:
            Shipper(self.root, self.tables).ship(server)

    def at(self, age):
        return micros(self.now - timedelta(days=age))

    def asked(self, name, age, key=None):
        return PredictionEntry(
            request_id=name,
            endpoint="delay",
            revision=1,
            model="delay",
            version=1,
            variant="champion",
            assignment="only variant",
            subject=None,
            at=self.at(age),
            latency=0.002,
            inputs={"distance": [1]},
            keys=[key] if key else None,
            predictions=[1.0],
            probabilities=[0.25],
        )

    def told(self, name, age, prediction=None, key=None):
        return OutcomeEntry(
            request_id=name,
            endpoint="delay",
            at=self.at(age),
            predictions=[prediction],
            keys=[key],
            values=[1.0],
        )

    @property
    def ids(self):
        rows = self.predictions.scan("delay").collect()["request_id"]
        return sorted([*rows, *(one[:-2] for one in self.outcomes.scan("delay").collect()["outcome_id"])])


def test_predictions_and_then_outcomes_go_by_their_age(project):
    project.log(*(project.asked(f"p{age}", age) for age in (10, 29, 31, 100)))
    project.log(*(project.told(f"o{age}", age, f"p{age}-0") for age in (9, 59, 61)))

    asked = project.collect(dry_run=True)
    assert len(project.ids) == 7
    done = project.collect()

    assert asked == done
    assert {log: (one.rows, one.size > 0, one.kept) for log, one in done.items()} == {
        "predictions/delay": (2, True, ""),
        "outcomes/delay": (1, True, ""),
    }
    assert project.ids == ["o59", "o9", "p10", "p29"]
    assert {one.rows for one in project.collect().values()} == {0}


def test_nothing_goes_where_nothing_is_said(project):
    project.log(project.asked("p", 9999), project.told("o", 9999, key="{}"))

    found = project.collect("", "")

    assert project.ids == ["o", "p"]
    assert {one.before for one in found.values()} == {None}
    assert "serving.keep_predictions is empty" in found["predictions/delay"].kept
    assert "for ever" in project.collect("30d", "")["outcomes/delay"].kept
    assert project.ids == ["o"]
    assert project.collect("30d", "999999999d")["outcomes/delay"].rows == 0


@pytest.mark.parametrize(
    ("predictions", "outcomes", "said"),
    [
        ("30d", "29d", "kept for 30d"),
        ("", "29d", "kept for ever"),
        ("a month", "", "serving.keep_predictions: 'a month'"),
        ("30d", "long", "serving.keep_outcomes: 'long'"),
    ],
)
def test_what_cannot_hold_is_refused(project, predictions, outcomes, said):
    with pytest.raises(SettingsError, match=said):
        project.expiry(predictions, outcomes)


def test_what_an_open_rollout_judges_by_stays_until_it_ends(project, clock):
    one = Variant(name="champion", model="delay", version=1)
    project.endpoints.revise("delay", [one], actor="test", reason="first", expected=None)
    version = SimpleNamespace(model="delay", version=2, ref="model_version:delay/2")
    state = project.rollouts.start("delay", version, Rollout(), actor="anna", reason="new")
    project.log(project.asked("before", 1), project.asked("since", 0))
    project.log(project.told("early", 1, "before-0"), project.told("late", 0, "since-0"))
    clock.advance("100d")

    found = project.collect("30d", "30d")

    assert project.ids == ["late", "since"]
    assert state.ref in found["predictions/delay"].kept
    assert found["outcomes/delay"].kept == "as long as predictions"

    project.rollouts.roll_back(state, actor="anna", reason="over")
    project.collect("30d", "30d")
    assert project.ids == []


def test_what_a_bandit_learns_from_stays(project, clock):
    two = [
        Variant(name=name, model="delay", version=number, weight=0.5) for number, name in enumerate("ab", 1)
    ]
    project.endpoints.revise("delay", two, actor="test", reason="try", expected=None, traffic=Bandit())
    project.log(project.asked("before", 1), project.asked("since", 0))
    clock.advance("100d")

    assert "bandit" in project.collect()["predictions/delay"].kept
    assert project.ids == ["since"]


def test_predictions_stay_as_long_as_outcomes_have_taken(project):
    """One took 50 days; the key `a` was asked again, so that its outcome is that of the last time."""
    project.log(*(project.asked(f"p{age}", age) for age in (49, 51, 60)))
    project.log(project.asked("a90", 90, '{"k":"a"}'), project.asked("a20", 20, '{"k":"a"}'))
    project.log(project.told("o", 10, "p60-0"), project.told("k", 10, key='{"k":"a"}'))

    found = project.collect()

    assert "50d" in found["predictions/delay"].kept
    assert project.ids == ["a20", "k", "o", "p49"]

    assert project.collect()["predictions/delay"].kept == ""
    assert project.ids == ["a20", "k", "o"]


def test_an_outcome_by_key_that_came_late_counts_too(project):
    project.log(project.asked("old", 44, '{"k":"a"}'), project.asked("older", 46), project.asked("young", 1))
    project.log(project.told("o", 0, key='{"k":"a"}'))

    assert "44d" in project.collect()["predictions/delay"].kept

    assert project.ids == ["o", "old", "young"]


def test_what_a_dead_server_left_is_shipped_once_though_its_rows_are_gone(project):
    project.log(project.asked("old", 90), server="dead")
    folder = project.root / LOGS / "dead"
    project.log(project.asked("again", 90), server="dead", ship=False)
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    Shipper(project.root, project.tables).ship("dead")
    project.collect()
    assert project.ids == []
    # It died before it could remove the segment, and had begun another.
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    project.log(project.asked("fresh", 1), server="dead", ship=False)

    assert Shipper(project.root, project.tables).ship_leftovers() == 1

    assert project.ids == ["fresh"]
    assert not folder.exists()
