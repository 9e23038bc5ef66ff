"""`treadle trees`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from treadle.app.cli.main import main


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Type a command in a project with one tree; returns exit code, output and errors."""
    (tmp_path / "treadle.toml").write_text("")
    (tmp_path / "project.py").write_text(
        'import treadle as td\n\nphotos = td.Tree("photos", source="landing")\n'
    )
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing/a.txt").write_text("1")
    monkeypatch.chdir(tmp_path)

    def one(*arguments: str, command: str = "trees") -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as end:
            main([command, *arguments])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return one


def test_a_folder_goes_in_and_comes_out(typed, tmp_path):
    assert json.loads(typed("--json")[1]) == {"versions": [], "without": ["photos"]}
    assert "photos: 1 files, no version yet\n  added    a.txt" in typed("status")[1]
    assert "photos: version 1: 1 added, 0 changed, 0 removed, 1 files in all" in typed("add")[1]
    assert "photos: nothing new" in typed("add", "photos")[1]
    (tmp_path / "landing/b.txt").write_text("2")
    assert json.loads(typed("add", "--json")[1])["photos"]["version"] == 2
    assert "unchanged since version 2" in typed("status", "photos")[1]
    assert "added    b.txt" in typed("difference", "photos", "1")[1]
    assert "version 1 of photos, 1 files" in typed("checkout", "photos", "out", "--version", "1")[1]
    assert [path.name for path in sorted(Path("out").glob("[!.]*"))] == ["a.txt"]
    assert json.loads(typed("show", "photos", "--version", "2", "--json")[1])[1]["path"] == "b.txt"
    assert typed("verify", "photos")[:2] == (0, "photos: every file is whole\n")
    for words in ((), ("show", "photos"), ("status",), ("difference", "photos", "2")):
        assert typed(*words)[0] == 0
        json.loads(typed(*words, "--json")[1])


def test_status_and_collect_know_trees(typed, tmp_path):
    assert json.loads(typed("--json", command="status")[1])["trees"][0]["version"] == 0
    for number in (1, 2, 3):
        (tmp_path / "landing/a.txt").write_text("1" * number)
        typed("add")
    keep = ("--keep-last", "1", "--younger-than", "0s")

    (shown,) = json.loads(typed("--json", command="status")[1])["trees"]
    _, would, note = typed(*keep, command="collect")
    done = json.loads(typed("trees", "photos", *keep, "--remove", "--json", command="collect")[1])

    assert (shown["name"], shown["version"], shown["files"], shown["size"]) == ("photos", 3, 1, 3)
    assert "photos  1, 2" in would
    assert "treadle collect --remove" in note
    assert (done["datasets"], done["trees"][0]["versions"], done["trees"][0]["kept"]) == ([], [1, 2], [3])
    assert "photos" in typed(command="status")[1]
    assert typed("photos", command="collect")[0] == 2


def test_what_is_wrong_is_said_in_a_line(typed, tmp_path):
    code, _, said = typed("add", "fotos")
    assert (code, "Did you mean 'photos'?" in said) == (3, True)
    typed("add")
    (tmp_path / "landing/a.txt").unlink()
    code, _, said = typed("add")
    assert (code, "holds no file, and version 1 had 1" in said) == (2, True)
    (tmp_path / "landing/out\x1b[31m").symlink_to("/etc/passwd")
    code, out, _ = typed("status")
    assert (code, "\x1b[31m" in out, "\\x1b[31m: it is a symbolic link" in out) == (0, False, True)


def test_damage_is_said_by_the_exit_code(typed, tmp_path):
    typed("add")
    for path in (tmp_path / ".treadle/objects/trees").rglob("*"):
        if path.is_file() and path.read_bytes() == b"1":
            path.unlink()

    code, out, _ = typed("verify", "photos")

    assert code == 1
    assert "a.txt: There is no content" in out
    assert "photos: 1 files are damaged" in out
