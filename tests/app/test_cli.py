from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from treadle.app.cli.main import exit_code, main
from treadle.core import errors


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of customers, where the commands are typed."""
    dice = random.Random(2)
    lines = ["customer id,tenure,churned"]
    for number in range(500):
        tenure = dice.randint(0, 72)
        lines.append(f"C{number},{tenure},{'yes' if tenure + dice.gauss(0, 9) < 30 else 'no'}")
    (tmp_path / "customers.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TREADLE_COMPUTE__ENGINE", "inline")
    return tmp_path


class Typed:
    """What a command printed, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        said = capsys.readouterr()
        self.code, self.out, self.err = end.value.code, said.out, said.err


def test_from_a_file_to_a_champion(folder: Path, capsys: pytest.CaptureFixture[str]):
    begun = Typed(capsys, "init", "--target", "churned")
    ran = Typed(capsys, "run")
    again = Typed(capsys, "run", "--json")
    status = Typed(capsys, "status", "--json")

    found = json.loads(status.out)
    assert [begun.code, ran.code, again.code, status.code] == [0, 0, 0, 0]
    assert "curl localhost:8080/v1/endpoints/model/predict" in begun.out
    assert "version 1 is the champion" in ran.out
    assert json.loads(again.out)[0]["unchanged"] is True
    assert found["datasets"][0]["rows"] == 500
    assert found["models"][0]["champion"] == 1
    assert found["endpoints"][0]["name"] == "model"

    for command in ("models", "endpoints", "runs", "datasets", "check", "ingest"):
        assert Typed(capsys, command).code == 0
        json.loads(Typed(capsys, command, "--json").out)
    unknown = Typed(capsys, "run", "modl")
    assert unknown.code == 3
    assert "Did you mean 'model'?" in unknown.err


def test_init_as_json_says_what_was_written_and_how_to_ask(folder: Path, capsys: pytest.CaptureFixture[str]):
    begun = Typed(capsys, "init", "--data", "customers.csv", "--target", "churned", "--json")

    found = json.loads(begun.out)
    assert found["written"] == ["treadle.toml", "project.py"]
    assert found["notes"][0].startswith("Looked at 500 rows. Key: customer id.")
    assert '{"rows": [{"tenure": ' in found["request"]


def test_init_asks_for_what_it_cannot_know(folder: Path, capsys: pytest.CaptureFixture[str]):
    no_target = Typed(capsys, "init")
    (folder / "more.csv").write_text("a\n1\n")
    no_data = Typed(capsys, "init")
    wrong = Typed(capsys, "init", "--data", "customers.csv", "--target", "churnd", "--json")

    assert (no_target.code, no_data.code, wrong.code) == (2, 2, 2)
    assert "Columns: customer id, tenure, churned" in no_target.err
    assert "Data files here: customers.csv, more.csv." in no_data.err
    assert json.loads(wrong.out)["error"]["field"] == "target"


def test_init_twice_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]):
    Typed(capsys, "init", "--target", "churned")
    before = (folder / "project.py").read_text()

    again = Typed(capsys, "init", "--target", "tenure")

    assert again.code != 0
    assert "nothing was changed" in again.err
    assert (folder / "project.py").read_text() == before


def test_an_unknown_command_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]):
    typed = Typed(capsys, "stauts")

    assert typed.code == 2
    assert "Did you mean 'status'?" in typed.err


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]):
    typed = Typed(capsys, "status", "--jsn")

    assert typed.code == 2
    assert "--json" in typed.err


def test_a_folder_that_is_no_project_says_how_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)

    typed = Typed(capsys, "status")

    assert typed.code == 3
    assert "treadle init" in typed.err


def test_a_project_file_that_raises_is_one_line_with_the_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    Typed(capsys, "init", "--target", "churned")
    (folder / "project.py").write_text("import treadle\n1 / 0\n")

    typed = Typed(capsys, "run")

    assert typed.code == 2 or typed.code == 1
    assert "ZeroDivisionError" in typed.err
    assert "project.py:2" in typed.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]):
    typed = Typed(capsys, "completion", shell)

    assert typed.code == 0
    assert "_TREADLE_COMPLETE" in typed.out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.RunFailed("x"), 4),
        (errors.RunTimeout("x"), 4),
        (errors.StoreUnavailable("x"), 5),
        (errors.Conflict("x"), 6),
        (errors.TreadleError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_codes_follow_the_error(error: errors.TreadleError, code: int):
    assert exit_code(error) == code


def test_help_says_of_each_command_what_its_file_says(capsys: pytest.CaptureFixture[str]):
    said = Typed(capsys, "--help").out

    listed = dict(re.findall(r"^  (\w+) +(.+)$", said.partition("Commands:\n")[2], flags=re.MULTILINE))
    commands = Path(main.__code__.co_filename).parent / "commands"
    assert sorted(listed) == sorted(path.stem for path in commands.glob("[!_]*.py"))
    assert listed["status"] == "What is fresh, what is stale, and why."
    assert all(text.endswith(".") for text in listed.values()), "one line for each command"
