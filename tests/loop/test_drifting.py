"""A model's log, and rows that landed since, against the reference that was kept with its version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny

from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidInput, NotFound
from treadle.core.signature import Field, Signature
from treadle.loop import pace
from treadle.loop.drifting import Of, drifting
from treadle.loop.references import answered, dependence
from treadle.loop.seen import sent
from treadle.monitoring.drift import Asked


class Still:
    """A stopwatch that stands still until it is told to go on."""

    now = 1e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def inline(tmp_path: Path) -> Iterator[Workspace]:
    """The tiny project's workspace; trainings run in this process."""
    overrides = {"compute.engine": "inline"}
    with open_workspace(
        tiny.make(tmp_path / "shop"), clock=ManualClock(tiny.BEGIN + timedelta(days=30)), overrides=overrides
    ) as workspace:
        yield workspace


@pytest.fixture
def root(inline: Workspace) -> Path:
    """The folder of the project."""
    return inline.root


def ask(workspace: Workspace, rows: int, *, moved: float = 0.0, seed: int = 1) -> None:
    random = np.random.default_rng(seed)
    values = zip(random.normal(size=rows) + moved, random.normal(size=rows), strict=True)
    with workspace.predictor("buys") as predictor:
        predictor.predict([{"pages": pages, "minutes": minutes} for pages, minutes in values])


def test_each_version_has_a_reference_of_what_it_learnt_and_answers(inline: Workspace) -> None:
    inline.run("buys")
    version = inline.models.get("buys/1")

    found = inline.drifting.reference(version)

    rows = inline.datasets.read("visits", split=["train", "validation"])
    assert found.rows == rows.height
    assert set(found.columns["input"]) == {"pages", "minutes"}
    assert set(found.columns) == {"input", "target", "prediction", "confidence"}
    assert 0.2 < found.importance["minutes"] < found.importance["pages"] < 1.5
    apart = inline.datasets.read("visits", split="validation").height
    assert found.columns["prediction"]["probability"].rows == apart


def test_a_log_in_which_nothing_changed_has_no_finding_and_one_that_moved_has(inline: Workspace) -> None:
    inline.run("buys")
    ask(inline, 400)

    quiet = inline.drift("buys")
    ask(inline, 2_000, moved=0.8, seed=2)
    moved = inline.drift("buys")

    assert (quiet.drifted, quiet.rows, quiet.source) == ((), 400, "endpoint:buys")
    assert {(one.role, one.column) for one in moved.drifted} >= {
        ("input", "pages"),
        ("prediction", "probability"),
    }
    assert "minutes" not in {one.column for one in moved.drifted}
    assert drifting(moved)[0]
    assert "pages" in drifting(moved, importance=0.1)[1]
    assert drifting(quiet) == (False, "0 of 1 columns have drifted in 400 rows since buys/1 was trained")


def test_what_it_came_to_is_kept_and_comes_back(inline: Workspace) -> None:
    inline.run("buys")
    ask(inline, 300, moved=1.0)

    found = inline.drift("buys")
    inline.drift("buys", keep=False)

    assert inline.drifts.latest("buys") == found
    assert inline.drifts.latest("buys", version="buys/2") is None
    (row,) = inline.drifts.history("buys").rows(named=True)
    assert (row["version"], row["rows"], row["tests"]) == ("buys/1", 300, len(found.findings))
    assert row["drifted"] == len(found.drifted) > 0


def test_a_trigger_asks_often_and_it_is_compared_seldom(inline: Workspace) -> None:
    workspace, clock = inline, inline.clock
    assert isinstance(clock, ManualClock)
    model = workspace.project.model("buys")
    assert workspace.drifting.recent(model) is None
    workspace.run("buys")
    ask(workspace, 300)

    first = workspace.drifting.recent(model, every="1h")
    clock.advance("59m")
    again = workspace.drifting.recent(model, every="1h")
    clock.advance("2m")
    later = workspace.drifting.recent(model, every="1h")

    assert first is not None
    assert later is not None
    assert again == first
    assert later.at > first.at
    assert workspace.drifts.history("buys").height == 2


def test_what_a_person_asks_does_not_steer_a_trigger_that_asks_something_else(inline: Workspace) -> None:
    model = inline.project.model("buys")
    inline.run("buys")
    ask(inline, 300)
    own = inline.drifting.recent(model)

    ask(inline, 600, moved=1.0, seed=2)
    other = inline.drifting.look(model, Of(window="30d", asked=Asked(columns=["pages"])))
    seen = inline.drifting.recent(model)

    assert own is not None
    assert seen == own != other
    assert inline.drifts.latest("buys") == other
    assert inline.drifts.latest("buys", question=Of().question) == own
    assert Of(window="7d").question == Of().question != Of(window="1d").question


def test_what_a_trigger_knows_is_read_seldom_and_what_was_compared_meanwhile_is_seen(
    inline: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = inline.project.model("buys")
    inline.run("buys")
    ask(inline, 300)
    first = inline.drifting.recent(model)
    read, latest = [], inline.drifts.latest

    def counted(*given: object, **named: object) -> object:
        read.append(1)
        monotonic.now += 1.0
        return latest(*given, **named)  # type: ignore[arg-type]

    monotonic = Still()
    monkeypatch.setattr(pace, "monotonic", monotonic)
    monkeypatch.setattr(inline.drifts, "latest", counted)

    same = [inline.drifting.recent(model) for _ in range(3)]
    ask(inline, 600, moved=1.0, seed=2)
    compared = inline.drift("buys")
    seen = inline.drifting.recent(model)

    assert same == [first] * 3
    assert seen == compared != first
    assert len(read) == 2


def test_rows_that_landed_since_are_compared_where_nobody_asked(inline: Workspace, root: Path) -> None:
    inline.run("buys")
    with pytest.raises(NotFound, match="no row after"):
        inline.drift("buys")
    tiny.land(root, 3, rows=600)
    moved = tiny.visits(4, rows=600).with_columns(
        pl.when(pl.int_range(pl.len()) % 2 == 0).then(9.0).otherwise("minutes").alias("minutes")
    )
    moved.write_csv(root / "landing" / "0004.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ")
    inline.ingest("visits")

    last = inline.drift("buys", window="7d")
    everything = inline.drift("buys", window="")

    assert (last.source, last.rows, everything.rows) == ("dataset:visits/2", 600, 1_200)
    first = next(one for one in everything.drifted if one.role == "input")
    assert first.column == "minutes"
    assert first.since is not None
    assert first.since >= tiny.visits(4, rows=1)["seen_at"][0]
    assert {"bought", "probability"} <= {one.column for one in everything.findings}


def test_a_version_without_a_reference_says_so_and_gets_one(inline: Workspace, root: Path) -> None:
    inline.run("buys")
    made = inline.models.get("buys/1")
    kept = inline.drifting.reference(made)
    inline.models.refer(made, "")
    ask(inline, 300)

    with pytest.raises(NotFound, match="treadle drift buys --against 1 --learn"):
        inline.drift("buys")
    learnt = inline.learn_reference("buys")

    found = inline.drifting.reference(learnt)
    assert learnt == inline.models.get("buys/1")
    assert found.rows == kept.rows
    assert found.sample == kept.sample
    assert found.importance == pytest.approx(kept.importance, abs=0.01)


def test_how_good_answers_are_is_estimated_before_outcomes_and_compared_after(
    inline: Workspace, root: Path
) -> None:
    learn_apart(root)
    inline.run("buys")
    tiny.land(root, 3, rows=2_000)
    inline.ingest("visits")

    found = {one.metric: one for one in inline.estimate("buys", every="4w")}

    accuracy = found["accuracy"]
    assert (accuracy.n, accuracy.known) == (2_000, 2_000)
    assert accuracy.low < accuracy.estimated < accuracy.high
    assert accuracy.realised is not None
    assert abs(accuracy.realised - accuracy.estimated) < 0.05
    assert set(found) == {"accuracy", "log_loss", "brier", "roc_auc"}


def test_what_is_logged_is_estimated_while_no_outcome_is_known(inline: Workspace, root: Path) -> None:
    learn_apart(root)
    inline.run("buys")
    ask(inline, 300)

    found = inline.estimate("buys")

    assert {(one.n, one.known, one.realised) for one in found} == {(300, 0, None)}


def test_a_policy_is_told_what_is_estimated_beside_the_drift(inline: Workspace, root: Path) -> None:
    learn_apart(root)
    text = (root / "project.py").read_text()
    (root / "project.py").write_text(text.replace("td.NewRows(500)]", "td.NewRows(500), td.Drift()]"))
    inline.run("buys")
    ask(inline, 500, moved=1.0)

    facts = inline.decisions.facts(inline.project.model("buys"))

    assert facts.drift is not None
    assert facts.drift.drifting
    assert "pages" in facts.drift.reason
    assert facts.drift.estimate is not None
    assert facts.drift.estimate.metric == "log_loss"
    assert facts.drift.estimate.low < facts.drift.estimate.value < facts.drift.estimate.high
    latest = inline.drifts.latest("buys")
    assert latest is not None
    assert {one.metric for one in latest.estimates} == {"accuracy", "log_loss", "brier", "roc_auc"}


def test_too_few_rows_kept_apart_estimate_nothing_and_say_so(inline: Workspace, root: Path) -> None:
    learn_apart(root, share=0.05)
    inline.run("buys")
    ask(inline, 30)

    with pytest.raises(InvalidInput, match="at least 200 rows were kept apart"):
        inline.estimate("buys")


def learn_apart(root: Path, *, share: float = 0.25) -> None:
    """Keep a share of the rows apart, to learn from them how good answers are."""
    text = (root / "project.py").read_text()
    split = f"train={0.7 - share:g}, validation={share:g}"
    (root / "project.py").write_text(text.replace("train=0.6, validation=0.1", split))


@pytest.mark.parametrize(
    ("said", "error", "match"),
    [
        ({"endpoint": "other"}, NotFound, "no prediction of 'buys'"),
        ({"against": 7}, NotFound, "no version 7"),
        ({"endpoint": "buys", "dataset_version": 1}, InvalidInput, "leave one of the two out"),
        ({"window": "soon"}, InvalidInput, "soon"),
        ({"columns": ["shop"]}, InvalidInput, "no column 'shop'"),
        ({"detectors": ["psi"]}, NotFound, "psi"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    inline: Workspace, said: dict[str, object], error: type, match: str
) -> None:
    inline.run("buys")
    ask(inline, 50)

    with pytest.raises(error, match=match):
        inline.drift("buys", **said)  # type: ignore[arg-type]


def test_references_go_with_their_versions(inline: Workspace, root: Path) -> None:
    for week in range(1, 4):
        inline.run("buys")
        tiny.land(root, week)
    assert isinstance(inline.clock, ManualClock)
    inline.clock.advance("1h")
    digests = [version.reference for version in inline.models.versions("buys")]

    inline.collect(what=["models"], keep_last=0, younger_than="0s", dry_run=False)

    there = [inline.objects.exists(digest) for digest in digests]
    assert there == [version.collected_at is None for version in inline.models.versions("buys")]
    assert len(set(there)) == 2


def test_logged_inputs_are_columns_again_and_a_wrong_kind_is_missing() -> None:
    signature = Signature(
        inputs=(
            Field(name="pages", kind="integer"),
            Field(name="new", kind="boolean"),
            Field(name="shop", kind="category"),
            Field(name="at", kind="timestamp"),
            Field(name="gone", kind="float"),
        )
    )
    texts = ['{"pages":3,"new":true,"shop":"north","at":1}', '{"pages":null,"new":false,"shop":null}']

    found = sent(pl.Series(texts), signature)
    mixed = sent(pl.Series([*texts, '{"pages":"many","new":1,"shop":5}']), signature)

    assert found.to_dict(as_series=False) == {
        "pages": [3.0, None],
        "new": [True, False],
        "shop": ["north", None],
    }
    assert mixed["pages"].to_list() == [3.0, None, None]
    assert mixed["shop"].to_list() == ["north", None, "5"]


@pytest.mark.parametrize(
    ("field", "values", "expected"),
    [
        (
            Field(name="probability", kind="float"),
            [0.2],
            {"prediction": {"probability": [0.2]}, "confidence": {"confidence": [0.8]}},
        ),
        (Field(name="prediction", kind="float"), [7.5], {"prediction": {"prediction": [7.5]}}),
        (Field(name="prediction", kind="integer"), [2.0], {"prediction": {"prediction": ["2"]}}),
        (
            Field(name="q", kind="float", columns=("low", "mid", "high"), rising=True),
            [[1.0, 2.0, 3.0]],
            {"prediction": {"prediction": [2.0]}},
        ),
        (
            Field(name="probabilities", kind="float", columns=("a", "b"), independent=True),
            [[0.9, 0.1]],
            {"prediction": {"a": [0.9], "b": [0.1]}},
        ),
    ],
)
def test_answers_of_every_kind_are_columns(
    field: Field, values: list[float], expected: dict[str, dict[str, list[float]]]
) -> None:
    found = answered(np.array(values), field)

    assert {role: frame.to_dict(as_series=False) for role, frame in found.items()} == expected


def test_answers_depend_on_what_they_are_made_of() -> None:
    random = np.random.default_rng(1)
    frame = pl.DataFrame(
        {"a": random.normal(size=500), "b": random.normal(size=500), "c": random.normal(size=500)}
    )

    found = dependence(lambda rows: (rows["a"] + 0.1 * rows["b"]).to_numpy(), frame, ["a", "b", "c"], seed=0)

    assert found["a"] > 0.8
    assert 0.05 < found["b"] < 0.2
    assert found["c"] == 0.0


def test_spans_and_places_are_checked_when_they_are_said() -> None:
    with pytest.raises(InvalidInput):
        Of(window="a while")
    assert Of().asked == Asked()
