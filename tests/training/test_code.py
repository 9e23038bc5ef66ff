"""Which code a run ran: the digest moves with the code, and git may be missing."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from treadle.store.objects.objects import Objects
from treadle.training import code

PROJECT = """
import json
import helpers
from pack import inner
from pack.deep import thing

def train(data, params, run):
    import late
    return helpers.x
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in {
        "project.py": PROJECT,
        "helpers.py": "from second import y\nx = 1\n",
        "second.py": "y = 2\n",
        "late.py": "z = 3\n",
        "unused.py": "u = 0\n",
        "pack/__init__.py": "",
        "pack/inner.py": "from . import sibling\n",
        "pack/sibling.py": "s = 1\n",
        "pack/deep.py": "thing = 1\n",
        ".venv/lib.py": "",
        "data.csv": "a\n1\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def load(project: Path) -> Callable[..., Any]:
    text = (project / "project.py").read_text()
    space: dict[str, Any] = {"__name__": "project"}
    body = compile(text[text.index("def train") :], str(project / "project.py"), "exec")
    exec(body, space)
    return space["train"]


def git(project: Path, *arguments: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=project, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_imports_are_followed_from_file_to_file(project: Path) -> None:
    found = {path.relative_to(project).as_posix() for path in code.sources(load(project), root=project)}

    assert found == {
        "project.py",
        "helpers.py",
        "second.py",
        "late.py",
        "pack/__init__.py",
        "pack/inner.py",
        "pack/sibling.py",
        "pack/deep.py",
    }


@pytest.mark.parametrize("name", ["project.py", "second.py", "pack/sibling.py", "late.py"])
def test_the_digest_moves_with_every_file_that_is_used(project: Path, name: str) -> None:
    function = load(project)
    before = code.digest(function, root=project)
    with (project / name).open("a") as file:
        file.write("changed = 1\n")

    assert code.digest(load(project), root=project) != before


def test_the_digest_stays_when_other_files_change(project: Path) -> None:
    before = code.digest(load(project), root=project)
    (project / "unused.py").write_text("u = 1\n")
    (project / "data.csv").write_text("a\n2\n")

    assert code.digest(load(project), root=project) == before


def test_the_digest_is_the_same_in_another_folder(project: Path, tmp_path: Path) -> None:
    before = code.digest(load(project), root=project)
    moved = project.rename(tmp_path / "elsewhere")

    assert code.digest(load(moved), root=moved) == before


def test_a_file_that_is_no_python_does_no_harm(project: Path) -> None:
    (project / "second.py").write_text("def (:\n")

    assert code.digest(load(project), root=project).startswith("sha256:")


def test_functions_typed_into_an_interpreter_have_digests_too(tmp_path: Path) -> None:
    one, other = (eval(f"lambda data, params, run: {n}") for n in (1, 2))

    assert code.digest(one, root=tmp_path) != code.digest(other, root=tmp_path)


def test_a_clean_repository_gives_its_commit(project: Path, folder_objects: Objects) -> None:
    git(project, "init", "-q")
    git(project, "add", "-A", "-f")
    git(project, "commit", "-q", "-m", "first")

    found = code.describe(load(project), root=project, objects=folder_objects)

    assert found.commit == git(project, "rev-parse", "HEAD")
    assert found.diff == ""
    assert found.digest == code.digest(load(project), root=project)


def test_uncommitted_code_is_kept_and_can_be_put_back(project: Path, folder_objects: Objects) -> None:
    git(project, "init", "-q")
    git(project, "add", "-A", "-f")
    git(project, "commit", "-q", "-m", "first")
    (project / "helpers.py").write_text("from second import y\nimport fresh\nx = 5\n")
    (project / "fresh.py").write_text("f = 1")
    (project / "data.csv").write_text("secret\n")

    found = code.describe(load(project), root=project, objects=folder_objects)

    difference = folder_objects.get(found.diff).decode()
    assert "secret" not in difference
    digest = code.digest(load(project), root=project)
    git(project, "checkout", "-q", "--", "helpers.py")
    (project / "fresh.py").unlink()
    subprocess.run(["git", "apply"], input=difference.encode(), cwd=project, check=True)
    (project / "fresh.py").write_text((project / "fresh.py").read_text().rstrip("\n"))
    assert code.digest(load(project), root=project) == digest


def test_without_a_repository_the_code_is_kept_whole(project: Path, folder_objects: Objects) -> None:
    found = code.describe(load(project), root=project, objects=folder_objects)

    assert found.commit == ""
    kept = folder_objects.get(found.diff).decode()
    assert "+y = 2" in kept
    assert "unused" not in kept


def test_without_git_the_code_is_kept_whole(
    project: Path, folder_objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    found = code.describe(load(project), root=project, objects=folder_objects)

    assert (found.commit, bool(found.diff)) == ("", True)


def test_an_installed_function_has_no_files_of_the_project(project: Path) -> None:
    assert importlib.util.find_spec("json") is not None
    import textwrap

    assert code.sources(textwrap.dedent, root=project) == []
    assert code.digest(textwrap.dedent, root=project).startswith("sha256:")


def test_changes_are_told_file_by_file(project: Path, folder_objects: Objects) -> None:
    before = code.describe(load(project), root=project, objects=folder_objects)
    (project / "helpers.py").write_text("from second import y\nx = 5\n")
    (project / "unused.py").write_text("u = 9\n")

    found = code.changes(before, load(project), root=project, objects=folder_objects)

    assert list(found) == ["helpers.py"]
    assert "-x = 1\n+x = 5\n" in found["helpers.py"]


@pytest.mark.parametrize("committed", [True, False], ids=["git", "without git"])
@pytest.mark.parametrize("below", ["", "below/"], ids=["top", "subfolder"])
def test_what_changed_since_is_told_from_the_recorded_code(
    project: Path, folder_objects: Objects, *, committed: bool, below: str
) -> None:
    if below:
        (project.parent / "top").mkdir()
        project = project.rename(project.parent / "top" / "below")
    if committed:
        top = project.parent if below else project
        git(top, "init", "-q")
        git(top, "add", "-A")
        git(top, "commit", "-qm", "first")
    (project / "second.py").write_text("y = 2\nuncommitted = 1\n")
    (project / "late.py").write_text("z = 3")
    recorded = code.describe(load(project), root=project, objects=folder_objects)
    same = code.changes(recorded, load(project), root=project, objects=folder_objects)

    (project / "helpers.py").write_text("from second import y\nx = 5\n")
    changed = code.changes(recorded, load(project), root=project, objects=folder_objects)

    assert same == {}
    assert list(changed) == ["helpers.py"]
    assert changed["helpers.py"].splitlines() == [
        "--- a/helpers.py",
        "+++ b/helpers.py",
        "@@ -1,2 +1,2 @@",
        " from second import y",
        "-x = 1",
        "+x = 5",
    ]
