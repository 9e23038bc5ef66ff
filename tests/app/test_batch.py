from __future__ import annotations

import json

import polars as pl
import pytest

import treadle as td
from treadle.app.sharing import plan_of_words
from treadle.core.errors import InvalidInput


def test_files_and_datasets_are_scored_with_versions_and_endpoints(shop, typed):
    pl.DataFrame({"visit": ["a", "b", "c"], "pages": ["3", "7", "many"]}).write_csv("in.csv")

    done = typed("batch", "buys@champion", "*.csv", "-o", "out", "--json", "--processes", "1")
    again = typed("batch", "buys@champion", "*.csv", "-o", "out", "--json")
    file = typed("batch", "buys", "in.csv", "-o", "one.parquet", "--keep", "visit", "--processes", "1")

    manifest = json.loads(done.out)
    assert (done.code, manifest["rows"], manifest["rejected"]) == (0, 2, 1)
    assert json.loads(again.out) == manifest
    assert file.code == 0
    assert "2 rows scored with buys/1" in file.out
    one = pl.read_parquet("one.parquet")
    assert one.columns == ["visit", "prediction", "probability", "model_version", "batch"]
    with td.open() as workspace, workspace.predictor("buys") as predictor:
        assert one["probability"].to_list() == [
            predictor.predict({"pages": pages})["probability"] for pages in (3, 7)
        ]


def test_a_dataset_goes_into_a_table(shop, typed):
    with td.open() as workspace:
        rows = workspace.datasets.read("visits", split="test")
        done = workspace.batch("buys/1", dataset="visits", split="test", output="table:january", part_rows=7)
        again = workspace.batch("buys/1", dataset="visits", split="test", output="table:january", part_rows=7)
        scored = workspace.tables.scan("scores/january").collect()

    assert done == again
    assert done.rows == len(rows) == len(scored)
    assert sorted(scored["visit"]) == sorted(rows["visit"])
    assert len(done.parts) > 1


def test_an_endpoint_whose_versions_answer_together_is_asked_as_a_whole(shop, typed):
    pl.DataFrame({"visit": ["a", "b"], "pages": [3, 7]}).write_parquet("in.parquet")

    with td.open() as workspace:
        both = plan_of_words(["one=buys/1:0.5", "two=buys/1:0.5"], traffic="ensemble")
        workspace.revise("buys", both, reason="try both")
        done = workspace.batch("buys", "in.parquet", output="out")
        with workspace.predictor("buys") as predictor:
            said = [predictor.predict({"pages": pages}) for pages in (3, 7)]

    scored = pl.read_parquet("out/*.parquet")
    assert done.plan.answered_by == "buys/1 + buys/1"
    assert scored["probability"].to_list() == [one["probability"] for one in said]
    assert scored["agreement"].to_list() == [one["agreement"] for one in said]
    assert scored["model_version"].to_list() == ["buys/1 + buys/1"] * 2


def test_a_batch_may_be_logged_and_its_outcomes_find_it(shop, typed, monkeypatch):
    pl.DataFrame({"visit": ["a", "b", "c"], "pages": [3, 7, 9]}).write_parquet("in.parquet")
    monkeypatch.setenv("TREADLE_SERVING__REDACT_DROP", "secret")

    done = typed(
        "batch",
        "buys",
        "in.parquet",
        "-o",
        "out",
        "--log",
        "--key",
        "visit",
        "--processes",
        "1",
        "--part-rows",
        "2",
    )
    again = typed("batch", "buys", "in.parquet", "-o", "out", "--log", "--key", "visit", "--part-rows", "2")
    refused = typed("batch", "buys/1", "in.parquet", "-o", "no", "--log")
    with td.open() as workspace, workspace.predictor("buys") as predictor:
        logged = workspace.predictions.scan("buys").collect().sort("key")
        said = [predictor.predict({"pages": pages})["probability"] for pages in (3, 7, 9)]

    assert (done.code, again.code) == (0, 0)
    assert (refused.code, "the log is an endpoint's" in refused.err) == (2, True)
    assert logged["key"].to_list() == ['{"visit":"a"}', '{"visit":"b"}', '{"visit":"c"}']
    assert logged["probability"].to_list() == said
    assert logged["inputs"].to_list() == ['{"pages":3}', '{"pages":7}', '{"pages":9}']
    assert logged["prediction_id"].n_unique() == 3
    assert logged.select("model", "version", "variant", "propensity", "sampled").unique().rows() == [
        ("buys", 1, "batch", 1.0, 1.0)
    ]


def test_of_a_logged_batch_a_sample_is_kept_and_fields_are_hashed(shop, monkeypatch):
    pl.DataFrame({"pages": [n % 9 for n in range(4_000)]}).write_parquet("in.parquet")
    for name, value in (("SAMPLE", "0.25"), ("REDACT_HASH", "pages"), ("REDACT_KEY", "k")):
        monkeypatch.setenv(f"TREADLE_SERVING__{name}", value)

    with td.open() as workspace:
        workspace.batch("buys", "in.parquet", output="out", log=True)
        logged = workspace.predictions.scan("buys").collect()

    assert 850 < logged.height < 1_150
    assert logged["sampled"].unique().to_list() == [0.25]
    assert logged["inputs"].str.contains(r'^\{"pages":"[0-9a-f]{32}"\}$').all()


def test_a_table_takes_one_batch_after_the_other_and_none_twice(shop, typed):
    pl.DataFrame({"visit": ["a", "b"], "pages": ["3", "many"]}).write_csv("one.csv")
    pl.DataFrame({"visit": ["c"], "pages": ["5"]}).write_csv("two.csv")

    with td.open() as workspace:
        first, second, again, third = (
            workspace.batch("buys/1", file, output="table:days")
            for file in ("one.csv", "two.csv", "one.csv", "two.csv")
        )
        scored = workspace.tables.scan("scores/days").collect()
    aside = shop / ".treadle" / "batches" / "days" / "past" / first.plan.id / "rejected"

    assert (again, third) == (first, second)
    assert sorted(scored.select("visit", "batch").rows()) == [("a", first.plan.id), ("c", second.plan.id)]
    assert pl.read_parquet(aside / "*.parquet")["visit"].to_list() == ["b"]


def test_a_table_whose_batch_was_killed_takes_no_other_before_it_is_done(shop, monkeypatch):
    pl.DataFrame({"visit": ["a"], "pages": ["3"]}).write_csv("one.csv")
    pl.DataFrame({"visit": ["c"], "pages": ["5"]}).write_csv("two.csv")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with td.open() as workspace:
        with monkeypatch.context() as patch:
            patch.setattr("treadle.serving.batch.batch.into_table", killed)
            with pytest.raises(KeyboardInterrupt):
                workspace.batch("buys/1", "one.csv", output="table:days")
        with pytest.raises(InvalidInput, match="holds another batch"):
            workspace.batch("buys/1", "two.csv", output="table:days")
        workspace.batch("buys/1", "one.csv", output="table:days")
        workspace.batch("buys/1", "two.csv", output="table:days")

        assert sorted(workspace.tables.scan("scores/days").collect()["visit"]) == ["a", "c"]


def test_what_cannot_be_done_is_told(shop, typed):
    pl.DataFrame({"page": [1]}).write_csv("in.csv")

    for arguments, code, said in (
        (("buys@champion", "in.csv", "-o", "out"), 2, "lacks pages"),
        (("buyz", "in.csv", "-o", "out2"), 3, "buyz"),
        (("buys", "nothing*", "-o", "out3"), 2, "No file is at 'nothing*'"),
        (("buys", "-o", "out4"), 2, "Neither files nor a dataset"),
        (("buys", "in.csv", "-o", "in.csv"), 2, "is a file"),
        (("buys", "--dataset", "visits@x", "-o", "out5"), 2, "no version of a dataset"),
        (("buys", "in.csv", "-o", "out6", "--processes", "0"), 2, "Expected positive numbers"),
    ):
        found = typed("batch", *arguments)
        assert (found.code, said in found.err) == (code, True), found.err
