"""A prediction leads back to what it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import treadle as td
from hostile_typed import Type
from treadle.core.errors import NotFound


def ask(shop: Path) -> str:
    """Ask the endpoint once, and return the prediction's id."""
    with td.open(shop) as workspace, workspace.predictor("buys") as predictor:
        names = workspace.models.get("buys@champion").signature.names
        row = workspace.datasets.read("visits").head(1).select(names)
        answer = predictor.predict(row.row(0, named=True))
    return str(answer["prediction_id"])


def test_a_prediction_leads_back_to_rows_code_and_run(shop: Path, typed: Type) -> None:
    name = ask(shop)

    with td.open() as workspace:
        found = workspace.trace(name)
        run = workspace.runs.list()[0]

    assert found.prediction["prediction_id"] == name
    assert isinstance(found.prediction["inputs"], dict)
    assert found.revision is not None
    assert (found.revision.endpoint, found.revision.revision) == ("buys", 1)
    assert found.version is not None
    assert (found.version.run, found.run) == (run.id, run)
    assert [one.version for one in found.datasets] == [run.data[found.version.dataset]]
    assert found.rows is not None
    assert 0 < found.rows < found.datasets[0].rows
    assert "packages" in found.environment
    assert found.missing == ()


def test_the_command_tells_it(shop: Path, typed: Type) -> None:
    name = ask(shop)

    told = typed("trace", name)
    plain = typed("trace", name, "--endpoint", "buys", "--json")

    assert "run_" in told.out
    assert "buys/1" in told.out
    assert json.loads(plain.out)["run"]["model"] == "buys"


def test_a_prediction_that_is_in_no_log_is_not_found(shop: Path) -> None:
    with td.open() as workspace, pytest.raises(NotFound, match="is in the log of buys"):
        workspace.trace("01k-nobody")
