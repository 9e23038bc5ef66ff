"""Commands typed into a project, and what they said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from treadle.app.cli.main import main


class Typed:
    """What a command printed, and its exit code."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        said = capsys.readouterr()
        self.code, self.out, self.err = end.value.code, said.out, said.err

    @property
    def sentence(self) -> str:
        """The error, which stands alone at the end of what was told."""
        assert "Traceback" not in self.err
        last = self.err.strip().splitlines()[-1]
        assert last.startswith("error: "), self.err
        return last.removeprefix("error: ")


Type = Callable[..., Typed]


def status(typed: Type) -> Any:
    return json.loads(typed("status", "--json").out)


def goes_on(typed: Type, root: Path) -> None:
    """The next run takes in what has landed meanwhile, and loses nothing."""
    again = typed("run")
    versions = json.loads(typed("datasets", "show", "visits", "--json").out)["versions"]
    assert again.code == 0, again.err
    assert status(typed)["models"][0]["last_run"]["status"] in {"succeeded", "rejected"}
    assert [v["version"] for v in versions] == list(range(1, len(versions) + 1))
    assert versions[-1]["rows"] == sum(v["accepted"] for v in versions) == 400 + 50
