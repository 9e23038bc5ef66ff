"""The short examples: land, run, and the version answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import treadle as td

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def landed(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    name, *arguments = request.param
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("landing", ".treadle"))
    command = [sys.executable, "land.py", "landing", *arguments]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("landed", [("words",)], indirect=True, ids=["words"])
def test_the_language_of_a_word(landed: Path) -> None:
    with td.open(landed) as ws:
        turn = ws.run("language")
        scores = ws.runs.get(turn.run.id).metrics

    assert all(verdict.passed for verdict in turn.verdicts)
    assert scores["test.candidate.accuracy"] > 0.75
    with td.Predictor("language", project=landed) as predictor:
        told = [predictor.predict({"word": word})["prediction"] for word in ("gemütlich", "ordinateur")]
    assert told == ["german", "french"]


@pytest.mark.slow
@pytest.mark.parametrize("landed", [("weather", "--until", "2013-10-31")], indirect=True, ids=["weather"])
def test_how_warm_it_will_be_in_a_day(landed: Path) -> None:
    with td.open(landed) as ws:
        turn = ws.run("warmth")
        scores = ws.runs.get(turn.run.id).metrics

    assert all(verdict.passed for verdict in turn.verdicts)
    assert scores["test.candidate.rmse"] < scores["test.baseline:mean_by_origin.rmse"] / 2


def test_what_a_user_writes_is_short() -> None:
    for name in ("words", "weather"):
        assert len((EXAMPLES / name / "project.py").read_text().splitlines()) < 60
