"""Outcomes that land with a model's dataset find the answers that were asked for with their key."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import tiny

from treadle.app.workspace import Workspace
from treadle.core.encoded import json_path
from treadle.loop import landed
from treadle.monitoring import outcomes
from treadle.serving.entries import OutcomeEntry, PredictionEntry
from treadle.serving.frames import tables_of

CASE = "buys"


def written(key: object) -> str:
    return json.dumps({"visit_id": key}, separators=(",", ":"))


def log(workspace: Workspace, keys: list[object], reported: dict[str, float] | None = None) -> None:
    """Let rows have been answered that were asked for with keys; of some the outcome was reported."""
    answer = PredictionEntry(
        request_id="r1",
        endpoint=CASE,
        revision=1,
        model=CASE,
        version=1,
        variant="champion",
        assignment="",
        subject=None,
        at=1,
        latency=0.001,
        inputs={"pages": [1.0] * len(keys), "minutes": [2.0] * len(keys)},
        keys=[None if key is None else written(key) for key in keys],
        predictions=[1.0] * len(keys),
        probabilities=[0.9] * len(keys),
    )
    told = [
        OutcomeEntry(
            request_id=f"o-{key}",
            endpoint=CASE,
            at=2**52,  # in the year 2112: what was said last counts
            predictions=[None],
            keys=[written(key)],
            values=[value],
        )
        for key, value in (reported or {}).items()
    ]
    for name, frame in tables_of([answer, *told]).items():
        workspace.tables.append(name, frame, base=workspace.tables.version(name))


def test_an_answer_has_the_outcome_of_the_row_with_its_key(inline: Workspace, root: Path) -> None:
    inline.run(CASE)
    rows = inline.datasets.read("visits").sort("visit_id").head(3)
    truth = dict(rows.select("visit_id", pl.col("bought").cast(pl.Float64)).iter_rows())
    ids = list(truth)

    log(inline, [*ids, "no such visit", None], reported={ids[2]: 1 - truth[ids[2]]})

    known = inline.answered(CASE)
    keys = known["key"].str.json_path_match("$.visit_id")
    assert dict(zip(keys, known["outcome"], strict=True)) == {**truth, ids[2]: 1 - truth[ids[2]]}
    assert known["outcome_at"].null_count() == 0
    found = inline.performance(CASE, metric="accuracy", every="all")
    assert (found["n"][0], found["asked"][0]) == (3, 5)


def test_an_outcome_that_lands_later_is_found_then(inline: Workspace, root: Path) -> None:
    inline.run(CASE)
    before = set(inline.datasets.read("visits")["visit_id"])
    tiny.land(root, 1)
    inline.ingest("visits")
    (new, *_) = sorted(set(inline.datasets.read("visits")["visit_id"]) - before)
    log(inline, [new, "still to come"])

    known = inline.answered(CASE)

    assert known["key"].str.json_path_match("$.visit_id").to_list() == [new]


def test_the_truth_of_one_models_dataset_is_not_that_of_another_model(inline: Workspace, root: Path) -> None:
    inline.run(CASE)
    first = inline.datasets.read("visits").sort("visit_id")["visit_id"][0]
    log(inline, [first])
    rows = inline.predictions.scan(CASE).collect()
    other = rows.with_columns(
        prediction_id=pl.lit("r2-0"), request_id=pl.lit("r2"), model=pl.lit("bought elsewhere")
    )
    inline.tables.append(f"predictions/{CASE}", other, base=inline.tables.version(f"predictions/{CASE}"))

    reported = landed.outcomes_of(inline.rooms, CASE, inline.predictions.scan(CASE))
    joined = outcomes.join(inline.predictions.scan(CASE).collect(), outcomes.reported(reported))

    known = dict(joined.select("model", pl.col("outcome").is_not_null()).iter_rows())
    assert known == {CASE: True, "bought elsewhere": False}


@pytest.mark.parametrize(
    "name", ["visitor's id", "'", "it's 'so'", 'a "b"', "a.b", "a[0]", "Größe", "$", "'] or ['x"]
)
def test_a_field_of_a_key_is_found_whatever_it_is_called(name: str) -> None:
    told = pl.Series([json.dumps({"x": 0, name: "v1"}), json.dumps({name: 7}), json.dumps({"x": "other"})])

    found = told.str.json_path_match(json_path(name))

    assert found.to_list() == ["v1", "7", None]
