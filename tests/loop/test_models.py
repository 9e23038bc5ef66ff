"""What may be declared round a training function."""

from __future__ import annotations

import pytest

import treadle as td


def cost(y, p):
    return abs(y - p)


OWN = td.Custom(metrics=[td.Metric(cost, greater_is_better=False)])
ROWS = td.Dataset("rows", source=td.Files("rows/*.csv"), key="id", outcome="y")


def declared(**more):
    @td.model(**{"data": ROWS, "target": "y", "task": td.Regression(), **more})
    def estimates(data, params, run):
        return None

    return estimates


@pytest.mark.parametrize("task", [td.Regression(), OWN])
def test_a_gate_on_a_metric_that_is_not_there_is_refused(task):
    with pytest.raises(td.errors.InvalidDeclaration, match=r"Beats\(on='rsme'\).*Did you mean 'rmse'"):
        declared(task=task, gates=[td.gates.Beats("baseline", on=["mae", "rsme"])])


def test_a_gate_and_a_search_know_the_metrics_of_the_question():
    found = declared(
        task=OWN,
        gates=[td.gates.NoWorse("champion", on="cost")],
        search=td.Search(space={"x": td.Int(0, 1)}, trials=1, metric="cost"),
    )

    assert found.judging()["gates"][0]["on"] == "cost"
    with pytest.raises(td.errors.InvalidDeclaration, match=r"NoWorse\(on='cost'\) names no metric"):
        declared(gates=[td.gates.NoWorse("champion", on="cost")])


def test_a_split_that_divides_queries_is_refused():
    by_key = td.HashSplit(train=0.8, validation=0.1, test=0.1)
    rows = td.Dataset("rows", source=td.Files("rows/*.csv"), key="id", outcome="y", split=by_key)

    with pytest.raises(td.errors.InvalidDeclaration, match=r"group='search'\) at dataset 'rows'"):
        declared(data=rows, task=td.Ranking(by="search"))


def test_a_model_without_a_target_is_one_of_its_inputs():
    assert declared(task=td.Density(), target="").target == ""
    assert declared(task=td.Anomaly(), target="").task.metric == "flag_error"
    assert declared(task=td.Anomaly(), target="y").task.metric == "average_precision"
    with pytest.raises(td.errors.InvalidDeclaration, match="td.Regression needs the column of the truth"):
        declared(target="")
    with pytest.raises(td.errors.InvalidDeclaration, match="td.Density has no target"):
        declared(task=td.Density())
