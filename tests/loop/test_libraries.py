"""A turn of the loop with models that are no estimators of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from treadle.app.predictor import open_predictor
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import RunFailed, UnsafeFormat

CASE, LINE = "buys", "    fitted = LogisticRegression(random_state=run.seed).fit(data.train.X, y)\n"
BOOSTER = """
    import xgboost
    fitted = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(data.train.X, y), 20)
"""
FUNCTION = """
    def fitted(frame):
        return chance(frame["pages"].to_numpy(), frame["minutes"].to_numpy())
"""
HELPER = "\n\ndef chance(pages, minutes):\n    return 1 / (1 + np.exp(minutes - 1.5 * pages))\n"
ROWS = [{"pages": 2.0, "minutes": 0.0}, {"pages": -2.0, "minutes": 0.0}]

Opener = Callable[..., Workspace]


@pytest.fixture
def project(root: Path) -> Opener:
    """Open the tiny project after its training function was changed."""

    def opener(training: str, *, declared: str = "seed=3,") -> Workspace:
        text = (root / "project.py").read_text()
        assert LINE in text
        changed = text.replace(LINE, training).replace("    seed=3,\n", f"    {declared}\n")
        (root / "project.py").write_text(changed + HELPER)
        return open_workspace(root, overrides={"compute.engine": "inline"})

    return opener


def test_a_booster_is_asked_judged_stored_and_served(project: Opener) -> None:
    with project(BOOSTER) as workspace:
        workspace.run(CASE)

        assert workspace.models.get(CASE).format == "onnx"
        with open_predictor(workspace, CASE) as predictor:
            likely, unlikely = (answer["probability"] for answer in predictor.predict(ROWS))
        assert likely > 0.8 > 0.2 > unlikely


def test_a_function_needs_the_declaration(project: Opener) -> None:
    with project(FUNCTION) as workspace:
        with pytest.raises((RunFailed, UnsafeFormat), match="declare allow_pickle=True"):
            workspace.run(CASE)

        assert CASE not in workspace.models.names()


def test_a_function_that_is_allowed_answers_and_status_says_that_it_is_a_pickle(project: Opener) -> None:
    with project(FUNCTION, declared="seed=3, allow_pickle=True,") as workspace:
        workspace.run(CASE)

        assert workspace.models.get(CASE).format == "pickle"
        (model,) = workspace.status().models
        assert any("Stored as a pickle" in note and "runs code" in note for note in model.notes)
        with open_predictor(workspace, CASE) as predictor:
            likely, unlikely = (answer["probability"] for answer in predictor.predict(ROWS))
        assert (round(likely, 4), round(unlikely, 4)) == (0.9526, 0.0474)
