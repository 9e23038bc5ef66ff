from __future__ import annotations

import json

import polars as pl

import treadle as td


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
