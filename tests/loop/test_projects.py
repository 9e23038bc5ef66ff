"""What is wrong with a project's file is said in one sentence, with the place in the project's own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from treadle.core.errors import InvalidDeclaration
from treadle.loop.projects import load


@pytest.mark.parametrize(
    ("code", "said", "line"),
    [
        ("x = (\n", "is not valid Python: '(' was never closed", 1),
        ("\nimport sys\nsys.exit(0)\n", "raised SystemExit: 0", 3),
        ("import json\njson.loads('{')\n", "raised JSONDecodeError: Expecting property name", 2),
        ("\n1 / 0\n", "raised ZeroDivisionError: division by zero", 2),
    ],
    ids=["syntax", "exit", "library", "own"],
)
def test_a_file_that_cannot_be_run_is_refused_with_its_line(
    tmp_path: Path, code: str, said: str, line: int
) -> None:
    file = tmp_path / "project.py"
    file.write_text(code)

    with pytest.raises(InvalidDeclaration) as refused:
        load(file)

    assert said in str(refused.value)
    assert f"({file}:{line})" in str(refused.value)


def test_the_place_is_in_the_file_that_the_project_imports(tmp_path: Path) -> None:
    (tmp_path / "helper_with_fault.py").write_text("def help():\n    return {}['there']\n")
    file = tmp_path / "project.py"
    file.write_text("import helper_with_fault\nhelper_with_fault.help()\n")

    with pytest.raises(InvalidDeclaration, match=r"raised KeyError: 'there' \(.*helper_with_fault\.py:2\)"):
        load(file)
