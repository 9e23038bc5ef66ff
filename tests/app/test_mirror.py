"""`treadle mirror`: what it prints, exits with, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from treadle.app.cli.main import main
from treadle.registry.mirror import Fetched
from treadle.registry.mirrors.mlflow import Mirror
from treadle.testing.mirrors import SECRET, failing_server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that declares nothing."""
    (tmp_path / "treadle.toml").write_text("")
    (tmp_path / "project.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def away(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that answers with errors."""
    with failing_server("401") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", SECRET)
        yield address


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_without_a_mirror_it_says_how_to_have_one(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("mirror") == 3
    assert status("mirror", "fetch", "models:/m@champion", "--out", "m") == 2
    assert capsys.readouterr().err.count("Set MLFLOW_TRACKING_URI to") == 2


def test_a_server_that_does_not_know_us_is_told_without_the_token(
    away: str, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [status("mirror", "fetch", "models:/m@champion", "--out", "m"), status("check")]

    said = "".join(capsys.readouterr())
    assert codes == [5, 1]
    assert said.count(f"MLflow at {away}: it answered 401: it does not know us") == 2
    assert SECRET not in said


def test_nothing_to_send_asks_nobody(away: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("mirror") == 0
    assert status("mirror", "--json") == 0

    first, _, document = capsys.readouterr().out.partition("\n")
    assert first == f"{away}: 0 sent, 0 to be sent"
    assert json.loads(document)[0]["place"] == away


@pytest.mark.parametrize("allowed", [False, True])
def test_a_model_that_runs_code_is_written_only_where_that_is_allowed(
    away: str, allowed: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pickled = Fetched(
        reference="models:/m/1",
        version="1",
        place=away,
        flavour="sklearn",
        runs_code=True,
        files={"MLmodel": b"{}", "deep/model.pkl": b"cos\nsystem\n"},
    )
    monkeypatch.setattr(Mirror, "fetch", lambda self, reference: pickled)

    code = status("mirror", "fetch", "models:/m/1", "--out", "m", *(["--allow-code"] if allowed else []))

    assert code == (0 if allowed else 1)
    assert Path("m/deep/model.pkl").is_file() == allowed
    assert ("runs code that came with it" in capsys.readouterr().err) == (not allowed)


def test_a_folder_that_cannot_be_made_is_told(
    away: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Fetched(
        reference="models:/m/1",
        version="1",
        place=away,
        flavour="onnx",
        runs_code=False,
        files={"MLmodel": b"{}"},
    )
    monkeypatch.setattr(Mirror, "fetch", lambda self, reference: found)

    assert status("mirror", "fetch", "models:/m/1", "--out", "project.py/m") == 2
    assert "cannot be written to 'project.py/m'" in capsys.readouterr().err


def test_a_folder_that_is_there_is_left_alone(away: str, project: Path) -> None:
    (project / "m").mkdir()

    assert status("mirror", "fetch", "models:/m/1", "--out", "m") == 1
