from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from treadle.app.cli.main import main

PROJECT = """
import treadle as td

orders = td.Dataset("orders", source=td.Files("*.csv"), key="id", outcome="late")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A project with two versions of a dataset, in which the fee is only charged where the order was late."""
    (tmp_path / "treadle.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "project.py").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    dice = random.Random(1)
    for number in (1, 2):
        lines = ["id,size,fee,late"]
        for row in range(number * 1_000, number * 1_000 + 400):
            late = dice.random() < 0.3
            lines.append(
                f"{row},{dice.gauss(number, 1):.3f},{dice.random() if late else 0:.3f},{str(late).lower()}"
            )
        (tmp_path / f"{number}.csv").write_text("\n".join(lines))
        typed("ingest")
    capsys.readouterr()
    return tmp_path


def typed(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def test_the_page_is_written_and_what_matters_is_told(folder: Path, capsys: pytest.CaptureFixture[str]):
    code = typed("profile", "orders")

    told = capsys.readouterr().out
    assert code == 0
    assert "orders version 2: 800 rows, 4 columns" in told
    assert "fee alone decides late" in told
    assert "Wrote orders-profile.html" in told
    assert "<title>orders, version 2: profile</title>" in (folder / "orders-profile.html").read_text()


def test_two_versions_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]):
    code = typed("profile", "orders", "--against", "1", "--output", "both.html")

    told = capsys.readouterr().out
    assert code == 0
    assert "size is distributed otherwise in the rows after version 1" in told
    assert 'id="changes"' in (folder / "both.html").read_text()


def test_as_json_the_numbers_are_printed_and_no_page_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    code = typed("profile", "orders", "--version", "1", "--json")

    found = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (found["version"], found["rows"]) == (1, 400)
    assert found["leakage"][0]["suspects"][0]["column"] == "fee"
    assert not list(folder.glob("*.html"))


def test_a_page_that_cannot_be_written_is_said(folder: Path, capsys: pytest.CaptureFixture[str]):
    code = typed("profile", "orders", "--output", "nowhere/page.html")

    assert code == 2
    assert "cannot be written to 'nowhere/page.html': No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["ordrs"], 3, "Did you mean 'orders'?"),
        (["orders", "--outcome", "lat"], 2, "Did you mean 'late'?"),
        (["orders", "--against", "2"], 2, "is not before version 2"),
        (["orders", "--version", "gold"], 3, "has the tag 'gold'"),
    ],
)
def test_what_is_not_there_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
):
    found = typed("profile", *arguments)

    assert found == code
    assert told in capsys.readouterr().err
