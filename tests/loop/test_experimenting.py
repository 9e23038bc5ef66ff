"""Experiments on endpoints: what two variants answered while they shared the requests, from the log of a real project."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import tiny

import treadle as td
from treadle.app.cli.main import main
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.clock import ManualClock
from treadle.core.errors import InvalidDeclaration, InvalidInput, NotFound
from treadle.core.records import Revision, Variant
from treadle.serving.entries import OutcomeEntry, PredictionEntry
from treadle.serving.frames import tables_of
from treadle.serving.variants import Router

CASE = "buys"
BEGIN = datetime(2020, 3, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGIN)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two versions, of which the first answers."""
    root = tiny.make(tmp_path_factory.mktemp("trained") / "shop")
    with open_workspace(root, clock=ManualClock(BEGIN), overrides={"compute.engine": "inline"}) as workspace:
        workspace.run(CASE)
        tiny.land(root, 1)
        workspace.run(CASE)
        workspace.promote(f"{CASE}/1", reason="first")
    return root


@pytest.fixture
def workspace(trained: Path, root: Path, clock: ManualClock) -> Iterator[Workspace]:
    shutil.rmtree(root)
    shutil.copytree(trained, root)
    with open_workspace(root, clock=clock, overrides={"compute.engine": "inline"}) as opened:
        yield opened


def share(workspace: Workspace, weight: float) -> Revision:
    """Let the second version answer a share of the subjects."""
    variants = [
        Variant(name="champion", model=CASE, version=1, weight=1 - weight),
        Variant(name="challenger", model=CASE, version=2, weight=weight),
    ]
    before = workspace.endpoints.get(CASE).revision
    return workspace.endpoints.revise(CASE, variants, actor="test", reason="try", expected=before)


def log(
    workspace: Workspace, revision: Revision, *, first: int, count: int, worse: bool, outcomes: bool = True
) -> None:
    """Let subjects be answered as the router says, with outcomes; a worse challenger says the contrary."""
    random, router = np.random.default_rng(first + 7), Router(revision)
    at = int(workspace.clock.now().timestamp() * 1e6)
    entries: list[PredictionEntry | OutcomeEntry] = []
    for i in range(first, first + count):
        choice, chance = router.choose(f"user-{i}"), float(random.random())
        said = 1 - chance if worse and choice.variant.name == "challenger" else chance
        entries.append(
            PredictionEntry(
                request_id=f"r{i}",
                endpoint=CASE,
                revision=revision.revision,
                model=CASE,
                version=choice.variant.version,
                variant=choice.variant.name,
                assignment=choice.reason,
                subject=f"user-{i}",
                at=at + i,
                latency=0.002 if choice.variant.name == "challenger" else 0.001,
                inputs={"pages": [1.0 + i % 2], "minutes": [2.0]},
                keys=None,
                predictions=[float(said > 0.5)],
                probabilities=[said],
                propensity=choice.propensity,
            )
        )
        if outcomes:
            entries.append(
                OutcomeEntry(
                    request_id=f"o{i}",
                    endpoint=CASE,
                    at=at + i + 1,
                    predictions=[f"r{i}-0"],
                    keys=[None],
                    values=[float(random.random() < chance)],
                )
            )
    for name, frame in tables_of(entries).items():
        workspace.tables.append(name, frame, base=workspace.tables.version(name))


@pytest.mark.parametrize(("worse", "verdict"), [(True, "worse"), (False, "undecided")])
def test_an_endpoint_that_two_share_is_an_experiment(
    workspace: Workspace, clock: ManualClock, *, worse: bool, verdict: str
) -> None:
    log(workspace, share(workspace, 0.3), first=0, count=2_000, worse=worse)
    clock.advance("1h")

    found = workspace.experiments.result(CASE)

    assert [one.name for one in workspace.experiments.list()] == [CASE]
    assert (found.verdict, found.metric.metric) == (verdict, "log_loss")
    assert (found.control, found.treatment, found.units) == ("champion", "challenger", 2_000)
    assert not found.ratio.is_broken


def test_stretches_with_growing_weights_are_one_experiment(workspace: Workspace, clock: ManualClock) -> None:
    small = share(workspace, 0.05)
    log(workspace, small, first=0, count=1_500, worse=True)
    clock.advance("1h")
    half = share(workspace, 0.5)
    log(workspace, half, first=1_500, count=1_500, worse=True)
    clock.advance("1h")

    found = workspace.experiments.result(CASE)

    assert found.revisions == (small.revision, half.revision)
    assert (found.units, found.verdict) == (3_000, "worse")
    assert sum(found.ratio.expected.values()) == 3_000
    assert found.ratio.expected["treatment"] == pytest.approx(0.05 * 1_500 + 0.5 * 1_500)


def test_what_ended_is_judged_by_what_came_while_it_ran(workspace: Workspace, clock: ManualClock) -> None:
    revision = share(workspace, 0.5)
    log(workspace, revision, first=0, count=500, worse=False)
    clock.advance("1h")
    workspace.promote(f"{CASE}/2", reason="enough")
    clock.advance("1d")

    found = workspace.experiments.result(CASE)

    assert (found.revisions, found.units) == ((revision.revision,), 500)
    assert workspace.experiments.list() == []


def test_guards_segments_and_metrics_of_ones_own(workspace: Workspace, clock: ManualClock) -> None:
    log(workspace, share(workspace, 0.5), first=0, count=2_000, worse=False)
    clock.advance("1h")
    experiment = td.Experiment(
        "slow",
        endpoint=CASE,
        metric=td.OnlineMetric("CASE WHEN prediction = 1 THEN outcome - 0.2 ELSE 0 END", name="earned"),
        guards=[td.OnlineMetric("latency", larger_is_better=False, margin=0.5), "accuracy"],
        segments=["pages"],
    )

    found = workspace.experiments.result(experiment)

    assert found.verdict == "harmful"
    assert "latency 0.002 against 0.001: +100.00%" in found.reason
    assert [one.metric for one in (found.metric, *found.guards)] == ["earned", "latency", "accuracy"]
    assert found.guards[1].larger_is_better
    assert 0.6 < (found.guards[1].control or 0) < 0.9
    assert {(one.column, one.value) for one in found.segments} == {("pages", "1.0"), ("pages", "2.0")}


def test_answers_without_an_outcome_wait_and_young_ones_are_not_looked_at(
    workspace: Workspace, clock: ManualClock
) -> None:
    revision = share(workspace, 0.5)
    log(workspace, revision, first=0, count=300, worse=False)
    clock.advance("2d")
    log(workspace, revision, first=300, count=300, worse=False, outcomes=False)
    clock.advance("1h")

    found = workspace.experiments.result(CASE)
    older = workspace.experiments.result(td.Experiment("older", endpoint=CASE, mature="1d"))

    assert (found.units, sum(found.ratio.seen.values())) == (300, 600)
    assert (older.units, sum(older.ratio.seen.values())) == (300, 300)


def test_a_declared_experiment_is_found_by_its_name_and_shown(
    workspace: Workspace, root: Path, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    log(workspace, share(workspace, 0.5), first=0, count=1_000, worse=True)
    clock.advance("1h")
    workspace.close()
    file = root / "project.py"
    file.write_text(
        file.read_text()
        + '\ntrial = td.Experiment("pages", endpoint="buys", segments=["pages"], design=td.Design(method="once", planned=900))\n'
    )

    said = []
    for arguments in (["experiments", "show", "pages"], ["experiments", "--json"]):
        with pytest.raises(SystemExit, match="0"):
            main([*arguments, "--project", str(root)])
        said.append(capsys.readouterr().out)

    shown, (listed,) = said[0], json.loads(said[1])

    assert shown.startswith("pages: worse: challenger is worse than champion: log_loss")
    assert "1 of 1 planned looks were made" in shown
    assert "pages = 2.0" in shown
    assert listed["result"]["verdict"] == "worse"


def test_what_cannot_be_judged_says_why(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="No experiment or endpoint named 'bys'"):
        workspace.experiments.result("bys")
    with pytest.raises(InvalidInput, match="No two variants have shared the requests"):
        workspace.experiments.result(CASE)
    share(workspace, 0.5)
    with pytest.raises(NotFound, match="No variant named 'champian'"):
        workspace.experiments.result(td.Experiment("x", endpoint=CASE, control="champian"))
    with pytest.raises(InvalidInput, match="has no column 'latence'"):
        workspace.experiments.result(td.Experiment("x", endpoint=CASE, metric=td.OnlineMetric("latence")))
    with pytest.raises(InvalidDeclaration, match="expected an SQL expression"):
        workspace.experiments.result(td.Experiment("x", endpoint=CASE, metric=td.OnlineMetric("sum( over")))

    with pytest.raises(InvalidInput, match="no input 'page'.*Did you mean 'pages'"):
        workspace.experiments.result(td.Experiment("x", endpoint=CASE, segments=["page"]))

    nothing = workspace.experiments.result(CASE)

    assert (nothing.verdict, nothing.units) == ("undecided", 0)


def test_performance_is_told_by_variant_and_input_with_what_is_still_to_come(
    workspace: Workspace, clock: ManualClock, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    revision = share(workspace, 0.5)
    log(workspace, revision, first=0, count=400, worse=True)
    log(workspace, revision, first=400, count=200, worse=True, outcomes=False)
    clock.advance("1h")

    found = workspace.performance(CASE, metric="accuracy", every="all", by=["variant", "pages"])

    assert found.columns[:5] == ["start", "model", "version", "variant", "pages"]
    assert (found["n"].sum(), found["asked"].sum()) == (400, 600)
    values = {(row["variant"], row["pages"]): row["value"] for row in found.iter_rows(named=True)}
    assert len(values) == 4
    assert values["champion", "2.0"] > 0.6 > 0.4 > values["challenger", "2.0"]
    with pytest.raises(InvalidInput, match="cannot be told apart by 'page'.*Did you mean 'pages'"):
        workspace.performance(CASE, by=["page"])
    with pytest.raises(InvalidInput, match="'2w' is no bucket"):
        workspace.performance(CASE, every="2w")
    workspace.close()
    with pytest.raises(SystemExit, match="0"):
        main(["performance", CASE, "--by", "variant", "--project", str(root)])

    assert "asked" in capsys.readouterr().out.splitlines()[0]
