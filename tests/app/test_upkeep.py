from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pytest

from treadle.app.cli.main import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a model that was trained on version 1 of its data."""
    dice = random.Random(2)
    lines = ["customer,tenure,churned"]
    for number in range(500):
        tenure = dice.randint(0, 72)
        lines.append(f"C{number},{tenure},{'yes' if tenure + dice.gauss(0, 9) < 30 else 'no'}")
    (tmp_path / "customers.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    for arguments in (["init", "--target", "churned"], ["run"]):
        assert _code(*arguments) == 0
    return tmp_path


def _code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return end.value.code


def test_versions_are_named_compared_and_brought_back(project: Path, capsys: pytest.CaptureFixture[str]):
    name = _json(capsys, "datasets", "--json")[0]["name"]

    assert _json(capsys, "datasets", "tag", name, "gold", "--json")[0]["version"] == 1
    deleted = _json(
        capsys, "datasets", "delete", name, "--where", "customer=C7", "--reason", "asked", "--json"
    )
    difference = _json(capsys, "datasets", "difference", name, "gold", "--json")
    counted = _json(capsys, "datasets", "difference", name, "gold", "--counts", "--json")
    back = _json(capsys, "datasets", "roll-back", name, "gold", "--reason", "a mistake", "--json")

    assert (deleted["version"], deleted["rows"]) == (2, 499)
    assert (difference["before"], difference["after"], difference["removed"]) == (1, 2, 1)
    assert difference["distributions"]["rows_after"] == 499
    assert [one["column"] for one in difference["distributions"]["shifts"]] == ["tenure", "churned"]
    assert {**difference, "distributions": None} == counted
    assert (back["version"], back["rows"], back["why"]) == (3, 500, "rolled back to version 1: a mistake")
    shown = _json(capsys, "datasets", "show", name, "--json")
    assert [version["rows"] for version in shown["versions"]] == [500, 499, 500]
    for arguments in (["show", name], ["difference", name, "1"]):
        assert _code("datasets", *arguments) == 0
    assert _code("datasets", "roll-back", name, "silver") == 3
    assert "has the tag 'silver'" in capsys.readouterr().err


def test_forgetting_names_the_models_that_saw_the_rows(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    name = _json(capsys, "datasets", "--json")[0]["name"]

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    refused = _code("datasets", "forget", name, "--where", "customer=C7")
    done = _json(capsys, "datasets", "forget", name, "--where", "customer=C7", "--yes", "--json")

    assert refused == 130
    assert done == {"dataset": name, "version": 2, "removed": 1, "models": ["model/1"]} | {"parents": []}
    assert _code("datasets", "forget", name, "--where", "customer=C7", "--yes") == 3
    assert _code("datasets", "forget", name, "--where", "nonsense", "--yes") == 2


def test_what_a_model_was_trained_on_is_not_collected(project: Path, capsys: pytest.CaptureFixture[str]):
    name = _json(capsys, "datasets", "--json")[0]["name"]
    for number in (1, 2, 3):
        _json(capsys, "datasets", "delete", name, "--where", f"customer=C{number}", "--json")
    keep = ["--keep-last", "1", "--younger-than", "0s", "--json"]

    would = _json(capsys, "collect", "datasets", *keep)["datasets"]
    done = _json(capsys, "collect", "datasets", *keep, "--remove")["datasets"]

    assert would[0]["versions"] == done[0]["versions"] == []
    assert done[0]["forms"] == 0
    assert _code("datasets", "profile", name, "--version", "1") == 0


def _json(capsys: pytest.CaptureFixture[str], *arguments: str):
    capsys.readouterr()
    assert _code(*arguments) == 0
    return json.loads(capsys.readouterr().out)
