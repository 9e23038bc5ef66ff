"""A project with a champion, and commands typed into a copy of it: for bad input and faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import treadle as td
from hostile_shop import PROJECT, land, visits
from hostile_typed import Type, Typed


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a champion."""
    root = tmp_path_factory.mktemp("made")
    (root / "treadle.toml").write_text('[project]\nname = "shop"\n[ledger]\ntimeout = 1\n')
    (root / "project.py").write_text(PROJECT)
    land(root, "a.csv", *visits(0, 400))
    with td.open(root, overrides={"compute.engine": "inline"}) as workspace:
        workspace.run("buys")
    return root


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project, where the commands are typed; trainings run in this process."""
    root = tmp_path / "shop"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    return root


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Type:
    return lambda *arguments: Typed(capsys, *arguments)
