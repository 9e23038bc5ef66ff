"""`treadle drift` and `treadle estimate` on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "loop"))

import tiny

from treadle.app.cli.main import main
from treadle.app.workspace import open_workspace


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project with a version, and with rows that landed since, of which half have no sensible number of minutes."""
    root = tiny.make(tmp_path_factory.mktemp("drift") / "shop")
    text = (root / "project.py").read_text()
    (root / "project.py").write_text(text.replace("train=0.6, validation=0.1", "train=0.45, validation=0.25"))
    with open_workspace(root, overrides={"compute.engine": "inline"}) as workspace:
        workspace.run("buys")
        tiny.visits(2, rows=800).with_columns(minutes=9.0).write_csv(
            root / "landing" / "0002.csv", datetime_format="%Y-%m-%dT%H:%M:%SZ"
        )
        workspace.ingest("visits")
    return root


def typed(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, str, str]:
    try:
        code = main([*words, "--project", str(root)]) or 0
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_what_has_changed_is_shown_and_listed(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    code, shown, _ = typed(capsys, root, "drift", "buys")
    _, text, _ = typed(capsys, root, "drift", "buys", "--json")

    assert code == 0
    assert "800 rows of dataset:visits/2" in shown
    assert "minutes" in shown
    found = json.loads(text)
    assert {one["column"] for one in found["findings"] if one["drifted"]} >= {"minutes", "probability"}
    assert found["version"] == "buys/1"


def test_thresholds_and_columns_are_options(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    _, shown, _ = typed(
        capsys, root, "drift", "buys", "--column", "pages", "--detector", "values", "--least", "values=0.1"
    )

    assert "Nothing has changed: 1 tests" in shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("drift", "nothing"), 3, "No model named"),
        (("drift", "buys", "--detector", "psi"), 3, "psi"),
        (("drift", "buys", "--least", "values"), 2, "expected a detector and a share"),
        (("drift", "buys", "--against", "9"), 3, "no version 9"),
        (("estimate", "buys", "--metric", "f1"), 2, "Estimated are"),
    ],
)
def test_what_cannot_be_is_said(
    capsys: pytest.CaptureFixture[str], root: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    found, _, error = typed(capsys, root, *words)

    assert found == code
    assert said in error


def test_a_reference_is_learnt_again(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    _, _, error = typed(capsys, root, "drift", "buys", "--learn")

    assert "buys/1 has a reference now" in error


def test_estimates_stand_beside_what_is_known(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    code, shown, _ = typed(capsys, root, "estimate", "buys", "--metric", "accuracy", "--every", "4w")
    _, text, _ = typed(capsys, root, "estimate", "buys", "--json")

    assert code == 0
    assert "really" in shown
    assert {one["metric"] for one in json.loads(text)} == {"accuracy", "log_loss", "brier", "roc_auc"}
