"""Packages of trials that were the best for a while are collected when their run has ended; the version's stays."""

from __future__ import annotations

from pathlib import Path

import seeking

from treadle.app.workspace import Workspace, open_workspace
from treadle.training.trials import Trial

SEARCH = 'td.Search(space={"c": td.Float(1e-4, 10, log=True)}, sampler="random", trials=6)'


def packaged(workspace: Workspace) -> list[Trial]:
    run = workspace.runs.list(model="seeks")[0].id
    return [trial for trial in workspace.trials.of_run(run) if trial.fitted is not None]


def test_what_was_the_best_for_a_while_is_collected(tmp_path: Path) -> None:
    root = seeking.make(tmp_path / "shop", SEARCH)
    with open_workspace(root, overrides={"compute.engine": "inline"}) as workspace:
        turn = workspace.run("seeks")
        digests = {
            trial.number: trial.fitted["package"]["digest"] for trial in packaged(workspace) if trial.fitted
        }
        version = workspace.models.get("seeks/1")

        would = workspace.collect(what=["models"])
        other = workspace.collect(["visits"])
        done = workspace.collect(["seeks"], dry_run=False)

        beaten = {number: digest for number, digest in digests.items() if digest != version.digest}
        assert beaten
        assert {one.of for one in would.loose} == {f"trial {number} of {turn.run.id}" for number in beaten}
        assert (done.loose, other.loose) == (would.loose, ())
        assert not any(workspace.objects.exists(digest) for digest in beaten.values())
        assert workspace.models.load(version)
        assert workspace.collect().loose == ()
        assert workspace.run("seeks").unchanged
