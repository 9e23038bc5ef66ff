"""Callers who ask get what each input adds to an answer, the same as `ws.explain` says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
from test_answering import declare

import asking
from treadle.app.workspace import Workspace, open_workspace
from treadle.core.errors import InvalidInput, TooLarge

ROWS = [{"pages": 1.0, "minutes": 0.5}, {"pages": -0.5, "minutes": 0.0}]
FIT = "LogisticRegression(random_state=run.seed)"


@pytest.fixture
def inline(root: Path) -> Iterator[Workspace]:
    """The project's workspace on the embedded ledger; trainings run in this process."""
    with open_workspace(root, overrides={"compute.engine": "inline"}) as opened:
        yield opened


def fit(root: Path, estimator: str, of: str) -> None:
    text = (root / "project.py").read_text()
    text = text.replace("from sklearn.linear_model import LogisticRegression", of)
    (root / "project.py").write_text(text.replace(FIT, estimator))


def check_same(told: list[dict], workspace: Workspace) -> None:
    found = workspace.explain("buys", pl.DataFrame(ROWS))
    for row, one in enumerate(told):
        explanation = one["explanation"]
        assert (explanation["scale"], explanation["method"]) == (found.scale, found.method)
        assert list(explanation["inputs"].values()) == pytest.approx(
            found.values[row, :, 0].tolist(), rel=1e-6
        )
        assert explanation["base"] == pytest.approx(found.base[0])


@pytest.mark.parametrize(
    ("estimator", "of", "method"),
    [
        (FIT, "from sklearn.linear_model import LogisticRegression", "additive"),
        (
            "GradientBoostingClassifier(n_estimators=5, max_depth=3, random_state=1)",
            "from sklearn.ensemble import GradientBoostingClassifier",
            "trees",
        ),
    ],
)
def test_an_explanation_is_that_of_the_workspace(
    inline: Workspace, root: Path, estimator: str, of: str, method: str
) -> None:
    fit(root, estimator, of)
    inline.run("buys")

    with inline.predictor("buys") as predictor:
        told = predictor.predict(ROWS, explain=True)
        again = predictor.predict(ROWS)

    assert told[0]["explanation"]["method"] == method
    check_same(told, inline)
    assert [one["probability"] for one in told] == [one["probability"] for one in again]
    assert "explanation" not in again[0]
    assert inline.predictions.scan("buys").collect()["outputs"].null_count() == 4  # it is not logged


def test_what_can_only_be_estimated_or_is_too_much_is_refused(inline: Workspace, root: Path) -> None:
    fit(
        root,
        "MLPClassifier((4,), max_iter=2000, tol=1e-2, random_state=1)",
        "from sklearn.neural_network import MLPClassifier",
    )
    inline.run("buys")

    with inline.predictor("buys") as predictor:
        with pytest.raises(InvalidInput, match="can only be estimated"):
            predictor.predict(ROWS, explain=True)
        with pytest.raises(TooLarge, match="At most 16 are explained"):
            predictor.predict(ROWS * 9, explain=True)


def test_versions_that_answer_together_are_not_explained(inline: Workspace) -> None:
    inline.run("buys")
    inline.revise(
        "buys",
        {
            "variants": [{"name": "a", "version": "buys/1"}, {"name": "b", "version": "buys/1"}],
            "traffic": {"type": "ensemble"},
        },
        reason="both",
    )

    with (
        inline.predictor("buys") as predictor,
        pytest.raises(InvalidInput, match="Several versions answered together"),
    ):
        predictor.predict(ROWS, explain=True)


def tensor(name: str) -> dict:
    return {"name": name, "shape": [2], "datatype": "FP32", "data": [row[name] for row in ROWS]}


def test_a_server_explains_and_decides_in_every_protocol(root: Path) -> None:
    declare(root, "td.Answers(coverage=0.8, decisions=[td.Abstain(below=0.7, then='review')])")
    with open_workspace(root, overrides={"compute.engine": "inline"}) as workspace:
        workspace.run("buys")

    with asking.server(root) as port:
        plain = asking.asked(port, "/v1/endpoints/buys/predict", {"rows": ROWS, "explain": True})[
            "predictions"
        ]
        body = {"inputs": [tensor("pages"), tensor("minutes")]}
        tensors = asking.asked(port, "/v2/models/buys/infer", {**body, "parameters": {"explain": True}})[
            "outputs"
        ]
        without = asking.asked(port, "/v2/models/buys/infer", body)["outputs"]
        wrong = asking.ask(port, "/v2/models/buys/infer", {**body, "parameters": {"explain": "yes"}})
        many = asking.ask(port, "/v1/endpoints/buys/predict", {"rows": ROWS * 9, "explain": True})
        described = asking.asked(port, "/v2/models/buys")["outputs"]

    with open_workspace(root) as workspace:
        check_same(plain, workspace)
        logged = workspace.predictions.scan("buys").collect()
    assert [one["decision"] for one in plain] == ["answer", "review"]
    given = {one["name"]: one for one in tensors}
    assert [msgspec.json.decode(text) for text in given["explanation"]["data"]] == [
        one["explanation"] for one in plain
    ]
    assert given["decision"]["data"] == ["answer", "review"]
    assert given["set"] == {"name": "set", "datatype": "BOOL", "shape": [2, 2], "data": given["set"]["data"]}
    assert [one["name"] for one in without] == ["prediction", "set", "decision", "reason", "probability"]
    assert [(one["name"], one["datatype"], one["shape"]) for one in described] == [
        ("prediction", "BOOL", [-1]),
        ("set", "BOOL", [-1, 2]),
        ("decision", "BYTES", [-1]),
        ("reason", "BYTES", [-1]),
        ("probability", "FP64", [-1]),
    ]
    assert (wrong[0], "Expected true or false" in wrong[1]["error"]) == (400, True)
    assert (many[0], "At most 16" in many[1]["error"]["message"]) == (413, True)
    assert set(logged["decision"]) == {"answer", "review"}
